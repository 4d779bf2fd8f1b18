"""How the value of each field of a site is read: from TOML, JSON or a command line.

Each reader takes what was written and returns what a `SiteRecord` holds. What has the
wrong form is a `ValueError`; a `FieldError` says more than what form was expected.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from headwater_ingest.enrich.currency import CURRENCIES
from headwater_ingest.enrich.networks import read_network
from headwater_ingest.sites.countries import COUNTRIES
from headwater_ingest.sites.record import WriteKey
from headwater_ingest.sites.shields import UNKNOWN_COUNTRY
from headwater_schema.limits import MAX_NAME_CHARS

MIN_KEY_CHARS: Final = 16
DIGEST_PREFIX: Final = "sha256:"
MAX_RULES: Final = 30
MAX_HOSTNAME_RULES: Final = 10
MAX_ALLOWED_PROPS: Final = 300

_MAX_PATTERN_CHARS: Final = 250
_MAX_PROP_NAME_BYTES: Final = 300
_FIRST_DATE, _LAST_DATE = date(1970, 1, 1), date(2149, 6, 6)  # of a ClickHouse Date
_LAST_TIME: Final = datetime(2200, 1, 1, tzinfo=UTC)
_DOMAIN: Final = re.compile(r"(?!.*://)[^\s,/]{1,253}")
_DIGEST: Final = re.compile(rf"{DIGEST_PREFIX}([0-9a-f]{{64}})")

Read = Callable[[object], Any]


class FieldError(ValueError):
    """What was written has the right form and cannot be taken; the message says why."""


def read_domain(value: object) -> str:
    """Reads a host name; it is kept in lower case."""
    if not isinstance(value, str) or not _DOMAIN.fullmatch(value):
        raise ValueError
    return read_text(value).lower()


def read_text(value: object) -> str:
    """Reads a text that can be stored."""
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 - one kind for all that is wrong
    value.encode()  # half a character is a ValueError
    return value


def read_flag(value: object) -> bool:
    """Reads a truth value."""
    if not isinstance(value, bool):
        raise ValueError  # noqa: TRY004
    return value


def read_whole(least: int, most: int) -> Read:
    """Returns the reader of whole numbers within bounds."""

    def read(value: object) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError
        return value

    return read


def read_id(value: object) -> int:
    """Reads the number of a site; JSON has it as text, since it may be large."""
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value[:20])
    if type(value) is not int or not 1 <= value < 2**64:
        raise ValueError
    return value


def read_date(value: object) -> date:
    """Reads a day, as a date of TOML or as a text."""
    day = date.fromisoformat(value) if isinstance(value, str) else value
    if type(day) is not date or not _FIRST_DATE <= day <= _LAST_DATE:
        raise ValueError
    return day


def read_time_zone(value: object) -> str:
    """Reads the name of a time zone."""
    name = read_text(value)
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError):
        raise ValueError from None
    return name


def read_keys(value: object) -> tuple[WriteKey, ...]:
    """Reads write keys as clients send them."""
    if not isinstance(value, list | tuple):
        raise ValueError  # noqa: TRY004
    return tuple(read_key(each) for each in value)


def read_key(value: object) -> WriteKey:
    """Reads one write key."""
    if not isinstance(value, str) or len(value) < MIN_KEY_CHARS:
        raise FieldError(f"a write key is a text of {MIN_KEY_CHARS} or more characters")
    return WriteKey.of(value)


def read_digests(value: object) -> tuple[WriteKey, ...]:
    """Reads what is known of keys that nobody has written down."""
    if not isinstance(value, list | tuple):
        raise ValueError  # noqa: TRY004
    return tuple(_read_digest(each) for each in value)


def read_addresses(value: object) -> tuple[str, ...]:
    """Reads rules about addresses; they are kept in canonical form."""
    return _read_rules(value, _read_address, most=MAX_RULES)


def read_countries(value: object) -> tuple[str, ...]:
    """Reads rules about countries."""
    return _read_rules(value, _read_country, most=MAX_RULES)


def read_pages(value: object) -> tuple[str, ...]:
    """Reads rules about pages."""
    return _read_rules(value, _read_page, most=MAX_RULES)


def read_hostnames(value: object) -> tuple[str, ...]:
    """Reads rules about hostnames."""
    return _read_rules(value, _read_hostname, most=MAX_HOSTNAME_RULES)


def read_prop_names(value: object) -> tuple[str, ...]:
    """Reads names of properties."""
    return _read_rules(value, _read_prop_name, most=MAX_ALLOWED_PROPS)


def read_goals(value: object) -> dict[str, str]:
    """Reads the currency of each goal."""
    if not isinstance(value, Mapping):
        raise ValueError  # noqa: TRY004
    return {
        _read_event_name(name): _read_currency(code) for name, code in value.items()
    }


def _read_rules(
    value: object, read: Callable[[str], str], *, most: int
) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError  # noqa: TRY004
    rules = tuple(dict.fromkeys(read(read_text(each)) for each in value))
    if len(rules) > most:
        raise FieldError(f"{len(rules)} are too many: {most} are allowed")
    return rules


def _read_address(text: str) -> str:
    try:
        network = read_network(text)
    except ValueError as error:
        raise FieldError(str(error)) from None
    is_single = network.prefixlen == network.max_prefixlen
    return str(network.network_address if is_single else network)


def _read_country(text: str) -> str:
    code = text.strip().upper()
    if code not in COUNTRIES and code != UNKNOWN_COUNTRY:
        raise FieldError(
            f"`{text[:10]}` is no country: write two letters such as `DE`, or "
            f"`{UNKNOWN_COUNTRY}` for visitors whose country is not known"
        )
    return code


def _read_page(text: str) -> str:
    if not text.startswith("/"):
        raise FieldError(f"`{_short(text)}` is no page: write a path such as `/blog/*`")
    return _check_length(text)


def _read_hostname(text: str) -> str:
    name = text.strip().lower()
    if not name or any(map(str.isspace, name)) or "/" in name:
        raise FieldError(
            f"`{_short(text)}` is no hostname: write one such as `*.example.com`"
        )
    return _check_length(name)


def _check_length(pattern: str) -> str:
    if len(pattern) > _MAX_PATTERN_CHARS:
        raise FieldError(
            f"`{_short(pattern)}` is too long: {_MAX_PATTERN_CHARS} characters are "
            "allowed"
        )
    return pattern


def _read_prop_name(text: str) -> str:
    if not text.strip() or len(text.encode()) > _MAX_PROP_NAME_BYTES:
        raise FieldError(
            f"`{_short(text)}` is no name of a property: it has 1 to "
            f"{_MAX_PROP_NAME_BYTES} bytes"
        )
    return text


def _read_event_name(value: object) -> str:
    name = read_text(value)
    if not name.strip() or len(name) > MAX_NAME_CHARS:
        raise FieldError(
            f"`{_short(name)}` is no name of an event: it has 1 to {MAX_NAME_CHARS} "
            "characters"
        )
    return name


def _read_currency(value: object) -> str:
    if not isinstance(value, str) or value not in CURRENCIES:
        raise FieldError(
            f"`{_short(str(value))}` is no currency: write a code such as `EUR`"
        )
    return value


def _read_digest(value: object) -> WriteKey:
    """Reads a digest, alone or as a table with the end of its validity."""
    digest, end = value, None
    if isinstance(value, Mapping) and value.keys() <= {"digest", "valid_until"}:
        digest, end = value.get("digest"), value.get("valid_until")
    found = _DIGEST.fullmatch(digest) if isinstance(digest, str) else None
    if not found:
        raise ValueError
    return WriteKey(found[1], None if end is None else _read_time_ms(end))


def _read_time_ms(value: object) -> int:
    time = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(time, datetime) or time.tzinfo is None:
        raise FieldError("`valid_until` is a time with its zone: 2026-12-31T12:00:00Z")
    if not 0 <= time.timestamp() < _LAST_TIME.timestamp():
        raise FieldError("`valid_until` lies too far away")
    return round(time.timestamp() * 1000)


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}…"
