"""Writes sites as people read them: the fields of JSON, and a sites file.

What is written can be read again, and gives the same sites. Keys are written as
digests: nobody knows more of them.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

import msgspec

from headwater_ingest.sites.field_values import DIGEST_PREFIX
from headwater_ingest.sites.model import derive_site_id
from headwater_ingest.sites.record import SiteRecord, WriteKey

_HEAD: Final = "# The sites of Headwater, for `headwater-ingest sites apply`.\n"

_AS_THEY_ARE: Final = (
    "consolidated",
    "rate_limit",
    "rate_window_seconds",
    "accept_traffic_until",
    "monthly_quota",
    "blocked_addresses",
    "blocked_countries",
    "blocked_pages",
    "allowed_hostnames",
    "revenue_goals",
    "allowed_props",
    "time_zone",
    "retention_days",
)
_NEW: Final = SiteRecord(id=0, domain="")


def describe_site(record: SiteRecord) -> dict[str, Any]:
    """Return all fields of a site, for JSON; null stands for no limit."""
    return {
        "domain": record.domain,
        # As text: not everybody reads numbers beyond 2^53 exactly.
        "id": str(record.id),
        "former_domain": record.former_domain or None,
        "key_digests": [_describe_key(key) for key in record.write_keys],
        **{name: getattr(record, name) for name in _AS_THEY_ARE},
        "kept_in": record.kept_in or None,
    }


def write_sites(records: Iterable[SiteRecord]) -> str:
    """Return a sites file with these sites."""
    return _HEAD + "".join("\n" + write_site(record) for record in records)


def write_site(record: SiteRecord) -> str:
    """Return the entry of a site: what it says that a new one would not."""
    fields: dict[str, Any] = {"domain": record.domain}
    if record.former_domain:
        fields["former_domain"] = record.former_domain
    if record.id != derive_site_id(record.former_domain or record.domain):
        fields["id"] = record.id
    fields["key_digests"] = [_describe_key(key) for key in record.write_keys]
    for name in _AS_THEY_ARE:
        if (value := getattr(record, name)) != getattr(_NEW, name):
            fields[name] = value
    lines = [f"{name} = {_write_value(value)}\n" for name, value in fields.items()]
    return "".join(["[[site]]\n", *lines])


def _describe_key(key: WriteKey) -> object:
    digest = DIGEST_PREFIX + key.digest
    if key.valid_until_ms is None:
        return digest
    end = datetime.fromtimestamp(key.valid_until_ms / 1000, UTC)
    return {"digest": digest, "valid_until": end}


def _write_value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _quote(value)
        case datetime() | date():
            return value.isoformat()
        case Mapping():
            pairs = [
                f"{_quote(name)} = {_write_value(each)}" for name, each in value.items()
            ]
            return "{ " + ", ".join(pairs) + " }"
        case list() | tuple():
            return "[" + ", ".join(map(_write_value, value)) + "]"
        case _:
            return str(value)


def _quote(text: str) -> str:
    """Writes a text; TOML differs from JSON in one character only."""
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")
