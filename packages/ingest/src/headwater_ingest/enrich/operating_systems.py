"""Tells the operating system of a user agent, in the names of Matomo.

Rules of our own (`data/operating_systems.toml`) come before those of ua-parser, and a
few after them.
"""

from collections.abc import Callable, Mapping
from functools import cache
from itertools import chain
from typing import Final

import msgspec
from ua_parser.loaders import load_lazy_builtins

from headwater_ingest.enrich.agent_rules import (
    NOTHING_FOUND,
    AgentRules,
    Found,
    join_version,
    take_rules,
    write_rules,
)
from headwater_ingest.enrich.packaged import read_packaged

_FIRST_IPADOS: Final = 13

_FIRST_SKIPPED_IOS: Final = 19
_IOS_26: Final = 26

_FIRST_DARWIN: Final = 5
_DARWIN_OF_MACOS_11: Final = 20
_DARWIN_OF_MACOS_26: Final = 25

_FIRE_OS: Final[Mapping[str, str]] = {
    "4.0": "3",
    "4.2": "3",
    "4.4": "4.5",
    "5": "5",
    "7": "6",
    "9": "7",
    "10": "8",
    "11": "8",
}
"""Versions of Fire OS by that of the Android beneath."""


class _SystemTables(msgspec.Struct, forbid_unknown_fields=True):
    versions: dict[str, dict[str, list[str]]]
    first: dict[str, list[str]]
    systems: dict[str, list[str]]
    last: dict[str, list[str]]
    names: dict[str, str]
    without_version: list[str]
    without: list[str]


class SystemRules:
    """The rules that tell operating systems. Immutable, safe to use from any thread."""

    __slots__ = ("_fixed", "_names", "_rules", "_without_version")

    def __init__(self, tables: _SystemTables) -> None:
        self._fixed: dict[str, Found] = {}
        self._names = tables.names
        self._without_version = frozenset(tables.without_version)
        fixed = self._fix_versions(tables.versions)
        ours = map(write_rules, (tables.first, fixed, tables.systems))
        theirs = take_rules(load_lazy_builtins()[1], without=tables.without)
        self._rules = AgentRules(chain(*ours, theirs, write_rules(tables.last)))

    def read(self, agent: str) -> Found:
        """Returns the system and its version, empty if there is none that we know."""
        found = self._rules.find(agent) or NOTHING_FOUND
        if found.name in self._fixed:
            return self._fixed[found.name]
        name = self._names.get(found.name, found.name)
        if name in self._without_version:
            return Found(name, "")
        translate = _TRANSLATIONS.get(name)
        return (
            translate(agent, found.version) if translate else Found(name, found.version)
        )

    def _fix_versions(
        self, table: Mapping[str, Mapping[str, list[str]]]
    ) -> dict[str, list[str]]:
        """Gives rules that name a version a name of their own."""
        rules = {}
        for name, versions in table.items():
            for version, patterns in versions.items():
                key = f"{name}\0{version}"
                self._fixed[key] = Found(name, version)
                rules[key] = patterns
        return rules


@cache
def packaged_systems() -> SystemRules:
    """Returns the rules that come with Headwater and ua-parser."""
    text = read_packaged("operating_systems.toml")
    return SystemRules(msgspec.toml.decode(text, type=_SystemTables))


def _name_ios(agent: str, version: str) -> Found:
    major = _major(version)
    if _FIRST_SKIPPED_IOS <= major < _IOS_26:  # what early builds called iOS 26
        version = join_version(str(major + 7), version.partition(".")[2])
    is_ipados = "iPad" in agent and major >= _FIRST_IPADOS
    return Found("iPadOS" if is_ipados else "iOS", version)


def _name_macos(_agent: str, version: str) -> Found:
    """Returns the Mac system of a version of Darwin, its kernel."""
    darwin = _major(version)
    if darwin < _FIRST_DARWIN:
        return Found("Mac", "")
    if darwin < _DARWIN_OF_MACOS_11:
        return Found("Mac", f"10.{darwin - 4}")
    return Found("Mac", str(darwin - 9 if darwin < _DARWIN_OF_MACOS_26 else darwin + 1))


def _name_fire_os(_agent: str, version: str) -> Found:
    major = version.partition(".")[0]
    return Found("Fire OS", _FIRE_OS.get(version) or _FIRE_OS.get(major, ""))


def _major(version: str) -> int:
    return int(version.partition(".")[0][:9] or 0)


_TRANSLATIONS: Final[Mapping[str, Callable[[str, str], Found]]] = {
    "iOS": _name_ios,
    "Darwin": _name_macos,
    "Fire OS": _name_fire_os,
}
