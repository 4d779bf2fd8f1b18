"""Rules that find something in a user agent, as our files and ua-parser state them.

A rule of ours is a regular expression in Rust's syntax, matched in time linear to the
agent. `#` stands for a version number, and what is found begins a word unless the rule
begins with `^` or `.*`. The first rule that fits counts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from ua_parser_rs import OSExtractor

Rule = tuple[str, str | None, str | None, str | None, str | None, str | None]
"""Regular expression, name and four parts of a version, as ua-parser has them."""

RuleTable = Mapping[str, Sequence[str]]
"""Rules of ours by the name that they give."""

_VERSION: Final = r"[vV]?(\d+)(?:[._](\d+))?"
_WORD_BEGINS: Final = "(?:^|[^A-Za-z0-9])"
_MAX_PART_CHARS: Final = 10
_FIELDS: Final = attrgetter("regex", "family", "major", "minor")


class Found(NamedTuple):
    """What a rule found.

    Attributes:
        name: The name that the rule gives.
        version: The first two parts of a version; empty when there is none.
    """

    name: str
    version: str


NOTHING_FOUND: Final = Found("", "")


class AgentRules:
    """A list of rules. Immutable, safe to use from any thread."""

    __slots__ = ("_extractor",)

    def __init__(self, rules: Iterable[Rule]) -> None:
        # The extractor for systems fills `$1` in names and versions alike.
        self._extractor = OSExtractor(rules)

    def find(self, agent: str) -> Found | None:
        """Returns what the first fitting rule finds in `agent`."""
        match = self._extractor.extract(agent)
        if match is None:
            return None
        return Found(match.family, join_version(match.major, match.minor))


def compile_tables(*tables: RuleTable) -> AgentRules:
    """Returns the rules of our own tables, in their order."""
    return AgentRules(rule for table in tables for rule in write_rules(table))


def write_rules(table: RuleTable) -> Iterator[Rule]:
    """Yields the rules of a table of ours in the form of ua-parser."""
    for name, patterns in table.items():
        for pattern in patterns:
            yield write_pattern(pattern), name, None, None, None, None


def take_rules(
    matchers: Iterable[object], *, without: Sequence[str] = ()
) -> Iterator[Rule]:
    """Yields rules of ua-parser but for those that contain a text of `without`."""
    for matcher in matchers:
        regex, family, major, minor = _FIELDS(matcher)
        if not any(part in regex for part in without):
            yield regex, family, major, minor, None, None


def write_pattern(pattern: str) -> str:
    """Returns the regular expression of a rule of ours.

    Its first group is empty: it takes the place of the name in rules of ua-parser.
    """
    begins = "" if pattern.startswith(("^", ".*")) else _WORD_BEGINS
    return f"(){begins}(?:{pattern.removeprefix('.*').replace('#', _VERSION)})"


def join_version(major: str | None, minor: str | None) -> str:
    """Returns the first two parts of a version as one text.

    A part of more than ten characters is none, so that made-up agents cannot fill
    columns with long numbers.
    """
    if not major or len(major) > _MAX_PART_CHARS:
        return ""
    return f"{major}.{minor}" if minor and len(minor) <= _MAX_PART_CHARS else major


def cut_version(version: str) -> str:
    """Returns the first two parts of a version, empty if it is none."""
    major, *rest = version.split(".", 2)
    minor = rest[0] if rest else ""
    is_version = f"{major}{minor}".isascii() and f"{major}{minor or 0}".isdigit()
    return join_version(major, minor) if is_version else ""
