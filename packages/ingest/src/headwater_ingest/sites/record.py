"""A site as it is written down: in ClickHouse, in a sites file, on the local disk.

The words here are the same everywhere: columns of the table `sites`, keys of the sites
file, fields of the admin API, assignments of the command line.
"""

from collections.abc import Iterable
from datetime import date

import msgspec
import structlog

from headwater_ingest.sites.model import DEFAULT_WINDOW_S, UTC_ZONE, Site, digest_key
from headwater_ingest.sites.shields import Shields

_log = structlog.stdlib.get_logger(__name__)


class WriteKey(msgspec.Struct, frozen=True):
    """What is known of a write key.

    Attributes:
        digest: Its SHA-256, in hexadecimal.
        valid_until_ms: When it ceases to be valid, epoch ms; None is never.
    """

    digest: str
    valid_until_ms: int | None = None

    @classmethod
    def of(cls, key: str) -> "WriteKey":
        """Return what may be known of `key`, valid without end."""
        return cls(digest_key(key).hex())


class SiteRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All that is written down about a site.

    Attributes:
        id: Its number in every table.
        domain: Its name.
        former_domain: Its name before; empty if it had none.
        write_keys: Its keys.
        consolidated: It only sums up other sites.
        rate_limit: Most events in a window; None is no limit, 0 blocks the site.
        rate_window_seconds: Length of the window.
        accept_traffic_until: Last day on which events are taken; None is no end.
        monthly_quota: Most events in a month; None is no limit.
        blocked_addresses: Rules of its shields; see `shields.py`.
        blocked_countries: The same.
        blocked_pages: The same.
        allowed_hostnames: The same.
        revenue_goals: Currency by event name.
        allowed_props: Names of properties that queries show; none means all.
        time_zone: In which its days are counted.
        retention_days: For so long its events are kept; None is for ever.
        kept_in: The sites file that is the truth about it; empty: the table is.
        removed: It is no site any more.
        version: Of two records of one id the one with the greater version counts.
    """

    id: int
    domain: str
    former_domain: str = ""
    write_keys: tuple[WriteKey, ...] = ()
    consolidated: bool = False
    rate_limit: int | None = None
    rate_window_seconds: int = DEFAULT_WINDOW_S
    accept_traffic_until: date | None = None
    monthly_quota: int | None = None
    blocked_addresses: tuple[str, ...] = ()
    blocked_countries: tuple[str, ...] = ()
    blocked_pages: tuple[str, ...] = ()
    allowed_hostnames: tuple[str, ...] = ()
    revenue_goals: dict[str, str] = {}
    allowed_props: tuple[str, ...] = ()
    time_zone: str = UTC_ZONE
    retention_days: int | None = None
    kept_in: str = ""
    removed: bool = False
    version: int = 0

    def differs_from(self, other: "SiteRecord") -> bool:
        """Whether the two say different things, whichever is newer."""
        return msgspec.structs.replace(self, version=other.version) != other


def to_site(record: SiteRecord) -> Site:
    """Return the site that a record describes, ready to be asked."""
    keys = {bytes.fromhex(key.digest): key.valid_until_ms for key in record.write_keys}
    return Site(
        record.id,
        record.domain,
        frozenset(keys),
        key_ends={digest: end for digest, end in keys.items() if end is not None},
        former_domain=record.former_domain or None,
        is_consolidated=record.consolidated,
        rate_limit=record.rate_limit,
        rate_window_s=record.rate_window_seconds,
        accept_traffic_until=record.accept_traffic_until,
        monthly_quota=record.monthly_quota,
        shields=Shields.from_rules(
            addresses=record.blocked_addresses,
            countries=record.blocked_countries,
            pages=record.blocked_pages,
            hostnames=record.allowed_hostnames,
        ),
        revenue_goals=record.revenue_goals,
        allowed_props=record.allowed_props,
        time_zone=record.time_zone,
    )


def to_sites(records: Iterable[SiteRecord]) -> list[Site]:
    """Return the sites of those records that are not removed.

    A record that somebody wrote by hand, and wrong, costs that site only.
    """
    sites = []
    for record in records:
        if record.removed:
            continue
        try:
            sites.append(to_site(record))
        except ValueError as error:
            _log.warning("site left out", domain=record.domain, problem=str(error))
    return sites
