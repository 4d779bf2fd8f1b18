"""Tells bots and headless browsers by their user agent.

The patterns of the package crawler-user-agents, less those that also fit people, and a
few of our own for what bots commonly call themselves. A program that a person started
is no bot: libraries such as curl pass, and so do readers of feeds and players.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from headwater_ingest.enrich.agent_rules import AgentRules, Rule, write_pattern
from headwater_ingest.enrich.packaged import read_packaged

_BOT: Final = "bot"


class _BotTable(msgspec.Struct, forbid_unknown_fields=True):
    tags_of_people: list[str]
    patterns_of_people: list[str]
    bots: list[str]
    bots_without_client: list[str]


class _Crawler(msgspec.Struct):
    pattern: str
    tags: list[str] = []


class BotRules:
    """The rules that tell bots. Immutable, safe to use from any thread."""

    __slots__ = ("_rules", "_rules_without_client")

    def __init__(
        self, patterns: Iterable[str], *, without_client: Iterable[str] = ()
    ) -> None:
        """Makes rules of regular expressions; those that Rust cannot read are left out.

        Args:
            patterns: What fits a bot: case-sensitive, not anchored.
            without_client: What fits a bot if its agent names no client known to us.
        """
        self._rules = _compile(tuple(patterns))
        self._rules_without_client = _compile(tuple(without_client))

    def fit(self, agent: str) -> bool:
        """Tells whether `agent` is a bot."""
        return self._rules.find(agent) is not None

    def fit_without_client(self, agent: str) -> bool:
        """Tells whether `agent`, in which we know no client, is a bot."""
        return self._rules_without_client.find(agent) is not None


@cache
def packaged_bots() -> BotRules:
    """Returns the rules that come with Headwater and its dependencies."""
    table = msgspec.toml.decode(read_packaged("bots.toml"), type=_BotTable)
    return BotRules(
        [*map(write_pattern, table.bots), *_take_crawlers(table)],
        without_client=map(write_pattern, table.bots_without_client),
    )


def _take_crawlers(table: _BotTable) -> Iterator[str]:
    tags, patterns = set(table.tags_of_people), set(table.patterns_of_people)
    for crawler in _read_crawlers():
        if crawler.pattern not in patterns and tags.isdisjoint(crawler.tags):
            yield crawler.pattern


def _read_crawlers() -> list[_Crawler]:
    """Reads the data file itself: importing the package would read it into dicts."""
    data = files("crawleruseragents") / "crawler-user-agents.json"
    return msgspec.json.decode(data.read_bytes(), type=list[_Crawler])


def _compile(patterns: tuple[str, ...]) -> AgentRules:
    try:
        return AgentRules(map(_write_rule, patterns))
    except ValueError:  # a look-around, which the package may have one day
        return AgentRules(map(_write_rule, filter(_is_readable, patterns)))


def _is_readable(pattern: str) -> bool:
    try:
        AgentRules([_write_rule(pattern)])
    except ValueError:
        return False
    return True


def _write_rule(pattern: str) -> Rule:
    return f"(?:{pattern})", _BOT, None, None, None, None
