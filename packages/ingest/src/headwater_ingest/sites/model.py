"""What a site is while the service runs: whose events it takes, and how many.

A write key is a secret. Only its digest is kept, so that neither a memory dump nor a
log line gives it away.
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import date
from hashlib import sha256
from typing import Final

from siphashc import siphash

from headwater_ingest.sites.shields import Shields

DEFAULT_WINDOW_S: Final = 60
UTC_ZONE: Final = "UTC"

_ZERO_KEY = bytes(16)
_NO_SHIELDS: Final = Shields()


@dataclass(frozen=True, slots=True)
class Site:
    """A source of events.

    Attributes:
        id: Number of the site in every table, a UInt64 other than 0.
        domain: Lower-case name, such as ``example.com``.
        key_digests: Digests of its write keys.
        key_ends: When those keys that are being replaced cease to be valid, epoch ms.
        former_domain: The name before the last change of it; events may still name it.
        is_consolidated: It sums up other sites and never receives events itself.
        rate_limit: Most events in a window; None is no limit, 0 blocks the site.
        rate_window_s: Length of the window.
        accept_traffic_until: Last day, in UTC, on which events are taken.
        monthly_quota: Most events that are taken in a UTC month.
        shields: What it does not want to count.
        revenue_goals: Currency in which each goal's revenue is reported, by event name.
        allowed_props: Names of properties that queries show; all are stored.
        time_zone: In which its days are counted by queries.
    """

    id: int
    domain: str
    key_digests: frozenset[bytes]
    _: KW_ONLY
    key_ends: Mapping[bytes, int] = field(default_factory=dict)
    former_domain: str | None = None
    is_consolidated: bool = False
    rate_limit: int | None = None
    rate_window_s: int = DEFAULT_WINDOW_S
    accept_traffic_until: date | None = None
    monthly_quota: int | None = None
    shields: Shields = _NO_SHIELDS
    revenue_goals: Mapping[str, str] = field(default_factory=dict)
    allowed_props: tuple[str, ...] = ()
    time_zone: str = UTC_ZONE


def bare_domain(domain: str) -> str:
    """Return a domain as events name it: in lower case, without a leading `www.`."""
    return domain.lower().removeprefix("www.")


def derive_site_id(domain: str) -> int:
    """Return the id of a site that names none.

    It is ClickHouse's ``sipHash64(lower(domain))``, so queries can compute it too.
    """
    number: int = siphash(_ZERO_KEY, domain.lower().encode())
    return number


def digest_key(key: str) -> bytes:
    """Return the digest under which a write key is known."""
    return sha256(key.encode("utf-8", "surrogatepass")).digest()
