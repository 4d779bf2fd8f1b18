"""What the cases set up in the service: its sites, its clock, its salts, its peer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from headwater_ingest.sites.model import DEFAULT_WINDOW_S, Site
from headwater_ingest.sites.shields import Shields
from headwater_ingest.visitors.salts import DAY_MS, Salts

_NOON_MS = DAY_MS // 2
_PEER = "127.0.0.1"


class Setup(msgspec.Struct, forbid_unknown_fields=True):
    """The start of a case.

    Attributes:
        sites: As the case describes them, the first with its relatives after it.
        ids: Their numbers, which no other case has.
        rates: Exchange rates, if the case needs some.
        at: Time of day in UTC.
    """

    sites: list[dict[str, Any]]
    ids: list[int]
    rates: dict[str, str] | None = None
    at: str | None = None


class _RateLimit(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    threshold: int | None = None
    scale_seconds: int | None = None


class _Goal(msgspec.Struct, forbid_unknown_fields=True):
    event_name: str
    currency: str | None = None


class _ShieldRules(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    ip: list[str] = []
    country: list[str] = []
    page: list[str] = []
    hostname: list[str] = []


class _SiteSetup(msgspec.Struct, forbid_unknown_fields=True):
    """A site as cases describe it."""

    domain: str
    domain_changed_from: str | None = None
    former_domain: str | None = None
    consolidated: bool = False
    rate_limit: _RateLimit = _RateLimit()
    accept_traffic_until: str | None = None
    shields: _ShieldRules = _ShieldRules()
    revenue_goals: list[_Goal] = []
    allowed_props: list[str] = []


class Change(msgspec.Struct, forbid_unknown_fields=True):
    """What happens before a request.

    Attributes:
        delay_s: Seconds that pass.
        at: Time of day in UTC that comes.
        since_start_s: Seconds from the start of the case on, even if that is back.
        rotations: How often the salts are rotated.
        peer_ip: Who is at the other end of the connection.
    """

    delay_s: float = 0.0
    at: str | None = None
    since_start_s: float | None = None
    rotations: int = 0
    peer_ip: str | None = None


class Seen(msgspec.Struct):
    """A request as the pipeline got it, by the names that cases have for its fields."""

    domains: list[str]
    event_name: str
    hostname: str
    pathname: str
    referrer: str
    props: dict[str, str]
    interactive: bool
    revenue: dict[str, str] | None
    remote_ip: str
    user_agent: str
    tracker_script_version: int


class CaseSalts(Salts):
    """Salts of days that pass when a case says so."""

    def __init__(self, day: Callable[[], int]) -> None:
        super().__init__()
        self._day = day

    def current(self, now_ms: int) -> bytes:
        return super().current(self._day() * DAY_MS + now_ms % DAY_MS)

    def previous(self, now_ms: int) -> bytes | None:
        return super().previous(self._day() * DAY_MS + now_ms % DAY_MS)


@dataclass(slots=True)
class World:
    """The clock and the salts of the running case.

    Attributes:
        now_ms: The time. Each request has a millisecond of its own, by which its rows
            are told apart.
        uptime_s: Seconds that have passed in all cases; they only ever grow.
        salt_day: The day whose salt is in force.
        peer_ip: Who is at the other end of the connection.
        seen: The requests of the case.
    """

    now_ms: int = 0
    uptime_s: float = 0.0
    salt_day: int = 0
    peer_ip: str = _PEER
    start_ms: int = 0
    seen: list[Seen] = field(default_factory=list)

    def begin(self, at: str | None) -> None:
        """Begins a case: today, at noon if it does not say when."""
        today_ms = int(datetime.now(UTC).timestamp()) * 1000 // DAY_MS * DAY_MS
        self.now_ms = self.start_ms = today_ms + (_time_of_day(at) if at else _NOON_MS)
        self.salt_day += 3  # nobody remembers the salts of the case before
        self.peer_ip = _PEER
        self.seen = []

    def change(self, change: Change) -> None:
        """Lets time pass. Salts are rotated at midnight, or when that is asked for."""
        before_ms = self.now_ms
        self.now_ms = self._find_time(change) + 1
        self.uptime_s += max(0, self.now_ms - before_ms) / 1000
        midnights = self.now_ms // DAY_MS - before_ms // DAY_MS
        self.salt_day += max(change.rotations, midnights)
        self.peer_ip = change.peer_ip or _PEER

    def _find_time(self, change: Change) -> int:
        if change.since_start_s is not None:
            return self.start_ms + round(change.since_start_s * 1000)
        now_ms = self.now_ms + round(change.delay_s * 1000)
        if change.at is None:
            return now_ms
        at_ms = now_ms // DAY_MS * DAY_MS + _time_of_day(change.at)
        return at_ms if at_ms >= now_ms // 1000 * 1000 else at_ms + DAY_MS


def make_sites(setup: Setup, *, now_ms: int) -> list[Site]:
    """Returns the sites of a case.

    Raises:
        ValueError: It says something about them that this suite does not know.
    """
    return [
        _make_site(given, number, now_ms=now_ms)
        for given, number in zip(setup.sites, setup.ids, strict=True)
    ]


def _make_site(given: dict[str, Any], number: int, *, now_ms: int) -> Site:
    site = _read_site(given)
    until = site.accept_traffic_until
    return Site(
        number,
        site.domain,
        frozenset(),
        former_domain=site.domain_changed_from or site.former_domain,
        is_consolidated=site.consolidated,
        rate_limit=site.rate_limit.threshold,
        rate_window_s=site.rate_limit.scale_seconds or DEFAULT_WINDOW_S,
        accept_traffic_until=_read_day(until, now_ms) if until else None,
        shields=make_shields(**msgspec.structs.asdict(site.shields)),
        revenue_goals={
            goal.event_name: goal.currency
            for goal in site.revenue_goals
            if goal.currency
        },
        allowed_props=tuple(site.allowed_props),
    )


def _read_site(given: dict[str, Any]) -> _SiteSetup:
    """Returns what a case says of a site; null is the same as nothing."""
    said = {key: value for key, value in given.items() if value is not None}
    try:
        return msgspec.convert(said, _SiteSetup)
    except msgspec.ValidationError as error:
        raise ValueError(f"this suite does not know this of a site: {error}") from None


def make_shields(
    *,
    ip: Iterable[str] = (),
    country: Iterable[str] = (),
    page: Iterable[str] = (),
    hostname: Iterable[str] = (),
) -> Shields:
    """Returns shields by the names that cases have for them."""
    return Shields.from_rules(
        addresses=ip, countries=country, pages=page, hostnames=hostname
    )


def _read_day(text: str, now_ms: int) -> date:
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    offsets = {"yesterday": -1, "today": 0, "tomorrow": 1}
    if text in offsets:
        return today + timedelta(days=offsets[text])
    return date.fromisoformat(text)


def _time_of_day(text: str) -> int:
    """Returns `23:50`, `23:50:10` or a whole date with it as ms after midnight."""
    time = text.rpartition("T")[2].removesuffix("Z")
    hours, minutes, *seconds = time.split(":")
    whole = (int(hours) * 60 + int(minutes)) * 60
    return round((whole + float(seconds[0] if seconds else 0)) * 1000)
