"""Tells the screen size of a device: `Mobile`, `Tablet`, `Desktop`, or empty.

What a device says of itself decides (`data/devices.toml`); else the word `Mobile` for
Android, and the operating system for the rest. Its width in pixels is not looked at.
"""

from functools import cache
from typing import Final

import msgspec

from headwater_ingest.enrich.agent_rules import (
    NOTHING_FOUND,
    AgentRules,
    compile_tables,
)
from headwater_ingest.enrich.packaged import read_packaged

MOBILE: Final = "Mobile"
TABLET: Final = "Tablet"

_NONE: Final = "None"


class _DeviceTables(msgspec.Struct, forbid_unknown_fields=True):
    androids: list[str]
    systems: dict[str, list[str]]
    always: dict[str, list[str]]
    with_mobile: dict[str, list[str]]
    without_mobile: dict[str, list[str]]


class DeviceRules:
    """The rules that tell screens. Immutable, safe to use from any thread."""

    __slots__ = (
        "_always",
        "_androids",
        "_screens",
        "_with_mobile",
        "_without_mobile",
    )

    def __init__(self, tables: _DeviceTables) -> None:
        self._androids = frozenset(tables.androids)
        self._screens = {
            system: screen
            for screen, systems in tables.systems.items()
            for system in systems
        }
        self._always = compile_tables(tables.always)
        self._with_mobile = compile_tables(tables.with_mobile)
        self._without_mobile = compile_tables(
            tables.without_mobile, {TABLET: tables.with_mobile[TABLET]}
        )

    def read(self, agent: str, operating_system: str) -> str:
        """Returns the screen size of the device, empty if that is not known."""
        found = self._always.find(agent)
        if found is not None:
            return "" if found.name == _NONE else found.name
        if operating_system in self._androids:
            return self._read_android(agent)
        return self._screens.get(operating_system, "")

    def _read_android(self, agent: str) -> str:
        if "Mobile" in agent:
            return _find(self._with_mobile, agent) or MOBILE
        # A tablet's browser leaves the word out; other programs never have it.
        default = TABLET if "Mozilla" in agent else _read_android_app(agent)
        return _find(self._without_mobile, agent) or default


@cache
def packaged_devices() -> DeviceRules:
    """Returns the rules that come with Headwater."""
    text = read_packaged("devices.toml")
    return DeviceRules(msgspec.toml.decode(text, type=_DeviceTables))


def _find(rules: AgentRules, agent: str) -> str:
    return (rules.find(agent) or NOTHING_FOUND).name


def _read_android_app(agent: str) -> str:
    """An app that names a build of Android runs on a telephone, most often."""
    return MOBILE if "Build/" in agent or "Dalvik" in agent else ""
