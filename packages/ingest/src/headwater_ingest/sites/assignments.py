"""`FIELD=VALUE` on the command line, for the fields of a site.

    rate_limit=600                      a number, a date, true or false, as in TOML
    time_zone=Europe/Berlin             a text needs no quotes
    blocked_pages=/admin/*,/test        a list, its parts between commas
    blocked_pages+=/drafts/*            added to what is there; -= takes out
    revenue_goals=Purchase:EUR          names with their currencies
    rate_limit=                         nothing: as a new site has it

What TOML needs quotes and brackets for may be written as TOML, too.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from headwater_ingest.errors import InvalidSiteError
from headwater_ingest.sites.fields import read_fields
from headwater_ingest.sites.record import SiteRecord

_ASSIGNMENT: Final = re.compile(r"([a-z_]+)([+-]?)=(.*)", re.DOTALL)
_LISTS: Final = frozenset(
    {
        "blocked_addresses",
        "blocked_countries",
        "blocked_pages",
        "allowed_hostnames",
        "allowed_props",
    }
)
_KEY_LISTS: Final = frozenset({"write_keys", "key_digests"})
_TEXTS: Final = frozenset(
    {"domain", "former_domain", "write_key", "time_zone", "accept_traffic_until"}
)
_GOALS: Final = "revenue_goals"
_QUOTES: Final = frozenset("\"'")


def read_assignments(texts: Iterable[str], record: SiteRecord) -> dict[str, object]:
    """Returns the fields that some assignments give.

    Args:
        texts: The assignments.
        record: The site as it is, which `+=` and `-=` begin with.

    Raises:
        InvalidSiteError: One is no assignment, or cannot be taken.
    """
    given: dict[str, object] = {}
    for text in texts:
        found = _ASSIGNMENT.fullmatch(text)
        if not found:
            raise InvalidSiteError([f"`{text}` is no assignment: write FIELD=VALUE"])
        name, operator, written = found.groups()
        if not operator:
            given[name] = _read(name, written)
        elif name in _LISTS:
            present = _present(name, given, record)
            given[name] = _change_list(name, present, written, operator)
        elif name == _GOALS:
            present = _present(name, given, record)
            given[name] = _change_goals(present, written, operator)
        else:
            raise InvalidSiteError([f"`{name}` has no {operator}=: write {name}=VALUE"])
    return given


def _read(name: str, written: str) -> object:
    """Returns what was written, as far as the text alone can tell."""
    if not written:
        return None
    if name in _TEXTS and written[0] not in _QUOTES:
        return written
    if name in _LISTS | _KEY_LISTS and written[0] != "[":
        return _split(written)
    if name == _GOALS and written[0] != "{":
        return dict(_read_goal(part) for part in _split(written))
    try:
        table = tomllib.loads(f"value = {written}")
    except tomllib.TOMLDecodeError:
        return written
    return table["value"]


def _read_goal(written: str) -> tuple[str, str]:
    event, colon, currency = written.rpartition(":")
    if not colon:
        raise InvalidSiteError([f"`{_GOALS}`: write {written}:EUR, with a currency"])
    return event.strip(), currency.strip()


def _present(name: str, given: Mapping[str, object], record: SiteRecord) -> Any:
    return _clean(name, given[name]) if name in given else getattr(record, name)


def _change_list(
    name: str, present: Sequence[str], written: str, operator: str
) -> list[str]:
    named = _clean(name, _read(name, written))
    kept = [each for each in present if each not in named]
    return [*kept, *named] if operator == "+" else kept


def _change_goals(
    present: Mapping[str, str], written: str, operator: str
) -> dict[str, str]:
    if operator == "+":
        return {**present, **_clean(_GOALS, _read(_GOALS, written))}
    names = _split(written)
    return {name: code for name, code in present.items() if name not in names}


def _split(written: str) -> list[str]:
    return [part.strip() for part in written.split(",")]


def _clean(name: str, value: object) -> Any:
    """Returns a value in the form in which it is kept, as the present ones are."""
    found = read_fields({name: value})
    if found.problems:
        raise InvalidSiteError(found.problems)
    return found.values[name]
