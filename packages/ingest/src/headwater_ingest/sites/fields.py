"""The fields of a site as people write them, and what may stand in each.

The sites file, the admin API and the command line are read through here, so they know
the same words, make the same checks and say the same things about mistakes. No message
repeats a write key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from headwater_ingest.sites import field_values as values
from headwater_ingest.sites.record import SiteRecord, WriteKey
from headwater_ingest.suggest import did_you_mean


@dataclass(frozen=True, slots=True)
class Field:
    """A field that can be written.

    Attributes:
        read: Takes what was written, or raises `ValueError` or `FieldError`.
        expected: What is to be written, as the end of "give it as".
        feeds: The field of the record that it becomes.
    """

    read: values.Read
    expected: str
    feeds: str


_KEYS: Final = "write_keys"
_DIGESTS_FORM: Final = f'a list: ["{values.DIGEST_PREFIX}0123...", ...]'

FIELDS: Final[Mapping[str, Field]] = {
    "domain": Field(
        values.read_domain, 'a host name: domain = "example.com"', "domain"
    ),
    "former_domain": Field(
        values.read_domain,
        'a host name: former_domain = "example.com"',
        "former_domain",
    ),
    "write_key": Field(values.read_key, "a text", _KEYS),
    "write_keys": Field(values.read_keys, 'a list: ["hw_...", "hw_..."]', _KEYS),
    "key_digests": Field(values.read_digests, _DIGESTS_FORM, _KEYS),
    "id": Field(values.read_id, f"a whole number from 1 to {2**64 - 1}", "id"),
    "consolidated": Field(values.read_flag, "true or false", "consolidated"),
    "rate_limit": Field(
        values.read_whole(0, 2**32 - 1),
        f"a whole number from 0, which blocks the site, to {2**32 - 1}",
        "rate_limit",
    ),
    "rate_window_seconds": Field(
        values.read_whole(1, 86_400),
        "a whole number from 1 to 86400",
        "rate_window_seconds",
    ),
    "accept_traffic_until": Field(
        values.read_date,
        "a day from 1970-01-01 to 2149-06-06",
        "accept_traffic_until",
    ),
    "monthly_quota": Field(
        values.read_whole(0, 2**63 - 1), "a whole number from 0 up", "monthly_quota"
    ),
    "blocked_addresses": Field(
        values.read_addresses,
        'a list: ["192.0.2.1", "2001:db8::/32"]',
        "blocked_addresses",
    ),
    "blocked_countries": Field(
        values.read_countries, 'a list: ["DE", "ZZ"]', "blocked_countries"
    ),
    "blocked_pages": Field(values.read_pages, 'a list: ["/admin/*"]', "blocked_pages"),
    "allowed_hostnames": Field(
        values.read_hostnames, 'a list: ["*.example.com"]', "allowed_hostnames"
    ),
    "revenue_goals": Field(
        values.read_goals, 'a table: { Purchase = "EUR" }', "revenue_goals"
    ),
    "allowed_props": Field(
        values.read_prop_names, 'a list: ["plan", "author"]', "allowed_props"
    ),
    "time_zone": Field(
        values.read_time_zone, 'a name such as "Europe/Berlin"', "time_zone"
    ),
    "retention_days": Field(
        values.read_whole(1, 36_500), "a whole number from 1 to 36500", "retention_days"
    ),
}
"""All fields, in the order in which they are written out."""

_DEFAULTS: Final = msgspec.structs.asdict(SiteRecord(id=0, domain=""))
_NEEDED: Final = frozenset({"domain", "id"})


@dataclass(slots=True)
class ReadFields:
    """What was read.

    Attributes:
        values: By the fields of `SiteRecord`; only what was written.
        problems: One line per mistake.
    """

    values: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_fields(given: Mapping[str, object]) -> ReadFields:
    """Reads all fields that are given; null stands for the value of a new site."""
    found = ReadFields()
    found.problems += [
        f"`{name}` is unknown: {did_you_mean(name, FIELDS)}"
        for name in given
        if name not in FIELDS
    ]
    for name, described in FIELDS.items():
        if name in given:
            _read_field(name, described, given[name], found)
    return found


def _read_field(name: str, described: Field, given: object, found: ReadFields) -> None:
    target = described.feeds
    if given is None and target not in _NEEDED:
        found.values[target] = _DEFAULTS[target]
        return
    try:
        value = described.read(given)
    except values.FieldError as error:
        found.problems.append(f"`{name}`: {error}")
        return
    except ValueError:
        found.problems.append(f"give `{name}` as {described.expected}")
        return
    if target == _KEYS:
        keys = (value,) if isinstance(value, WriteKey) else value
        value = (*found.values.get(_KEYS, ()), *keys)
        value = tuple({key.digest: key for key in value}.values())
    found.values[target] = value
