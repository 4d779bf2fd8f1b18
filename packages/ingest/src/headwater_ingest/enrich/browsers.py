"""Tells the browser or other client of a user agent, in the names of Matomo.

Rules of our own (`data/browsers.toml`) come before those of ua-parser. A program that
is one app for one thing is `Mobile App`, as is a page shown inside of one.
"""

from functools import cache
from itertools import chain
from typing import Final

import msgspec
from ua_parser.loaders import load_lazy_builtins

from headwater_ingest.enrich.agent_rules import (
    NOTHING_FOUND,
    AgentRules,
    Found,
    RuleTable,
    take_rules,
    write_rules,
)
from headwater_ingest.enrich.packaged import read_packaged

MOBILE_APP: Final = "Mobile App"

_APP: Final = "\0app"
"""Stands for an app until its version has been taken away."""

_BROWSER_PREFIXES: Final = ("Mozilla", "Opera", "Dalvik", "Nokia")
_UNTOLD: Final = frozenset(
    {"", "Android", "CFNetwork", "Mobile Safari", "Mobile Safari UI/WKWebView"}
)
"""What ua-parser finds in an agent that tells a system, but no browser."""

_SYSTEMS_OF_APPS: Final = frozenset(
    {"Android", "Android TV", "Fire OS", "iOS", "iPadOS", "tvOS", "watchOS"}
)


class _BrowserTables(msgspec.Struct, forbid_unknown_fields=True):
    apps: list[str]
    app_names: list[str]
    without_version: list[str]
    without: list[str]
    first: dict[str, list[str]]
    clients: dict[str, list[str]]
    names: dict[str, str]


class BrowserRules:
    """The rules that tell clients. Immutable, safe to use from any thread."""

    __slots__ = ("_known", "_names", "_rules", "_without_version")

    def __init__(self, tables: _BrowserTables) -> None:
        apps: RuleTable = {_APP: tables.apps}
        ours = map(write_rules, (tables.first, apps, tables.clients))
        theirs = take_rules(load_lazy_builtins()[0], without=tables.without)
        self._rules = AgentRules(chain(*ours, theirs))
        self._names = tables.names | dict.fromkeys(tables.app_names, _APP)
        self._without_version = frozenset(tables.without_version)
        self._known = {*tables.first, *tables.clients, *self._names.values()}

    def read(self, agent: str, operating_system: str) -> Found:
        """Returns the client and its version, empty if there is none that we know.

        Args:
            agent: The user agent.
            operating_system: What it runs on: an unknown program on a telephone is an
                app.
        """
        found = self._rules.find(agent)
        if found == NOTHING_FOUND:  # a rule says that the agent names no client
            return found
        found = found or NOTHING_FOUND
        name = self._names.get(found.name, found.name)
        if name == _APP or self._is_unknown_app(agent, found.name, operating_system):
            return Found(MOBILE_APP, "")
        return Found(name, "" if found.name in self._without_version else found.version)

    def _is_unknown_app(self, agent: str, name: str, operating_system: str) -> bool:
        if agent.startswith(_BROWSER_PREFIXES) or "/" not in agent:
            return False
        if "CFNetwork/" in agent and name not in self._known:
            return True
        return (
            name in _UNTOLD
            and operating_system in _SYSTEMS_OF_APPS
            and "AppleWebKit" not in agent
        )


@cache
def packaged_browsers() -> BrowserRules:
    """Returns the rules that come with Headwater and ua-parser."""
    text = read_packaged("browsers.toml")
    return BrowserRules(msgspec.toml.decode(text, type=_BrowserTables))
