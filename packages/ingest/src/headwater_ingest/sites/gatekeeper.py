"""Decides how many events a site may have: plan, quota, block, rate limit, in order.

A web event is let in or dropped. A native batch is let in whole, refused whole so that
its client sends it again later, or cut, when there can never be room for all of it.

| rule | web event | native batch |
| --- | --- | --- |
| `accept_traffic_until` has passed | `payment_required` | refused |
| the monthly quota is spent | `quota_exceeded` | refused; cut if nearly spent |
| the rate limit is 0 | `block` | refused |
| the window has no room | `throttle` | refused until it ends; cut if over the limit |
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

from headwater_ingest.clock import Clock, start_clock
from headwater_ingest.sites.counts import Counts
from headwater_ingest.sites.model import Site
from headwater_ingest.sites.quota import MonthlyUsage
from headwater_ingest.sites.rate_limit import RateWindows
from headwater_schema.outcomes import Reason

_DAY_MS: Final = 24 * 60 * 60 * 1000
_EPOCH: Final = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Cut:
    """A part of a batch is let in: the first `count` events.

    Attributes:
        count: How many; 1 or more.
        reason: Why the others are dropped.
    """

    count: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing of a batch is let in, and nothing was counted.

    Attributes:
        reason: Why.
        retry_after_s: When there is room again, where waiting helps.
    """

    reason: Reason
    retry_after_s: int | None = None


class Gatekeeper:
    """Stands between a site that is known and everything that costs. Owned by the loop.

    Attributes:
        usage: What the monthly quotas are held against.
    """

    def __init__(
        self,
        usage: MonthlyUsage | None = None,
        *,
        clock: Clock | None = None,
        windows: Counts | None = None,
    ) -> None:
        """Begin with empty windows.

        Args:
            usage: What is known of the month.
            clock: By which windows turn; the steady one, so that a step of the
                system's clock neither opens a window early nor keeps it shut.
            windows: Where the windows are, if others share them.
        """
        self.usage = usage or MonthlyUsage()
        self._windows = RateWindows(clock or start_clock(), windows)

    def check(self, site: Site, *, now_ms: int) -> Reason | None:
        """Return why a site may not have one more web event, or None; then it counts.

        What later steps drop has used up its place in the window; it uses up no quota.
        """
        if is_unlimited(site):
            return None
        reason = self._find_bar(site, now_ms=now_ms)
        if reason or site.rate_limit is None:
            return reason
        return None if self._claim(site, site.rate_limit, 1) else Reason.THROTTLE

    def admit(self, site: Site, count: int, *, now_ms: int) -> Cut | Refusal | None:
        """Decide on the events of a native batch that are neither known nor faulty.

        Returns:
            None if all of them are let in.
        """
        if is_unlimited(site) or not count:
            return None
        if reason := self._find_bar(site, now_ms=now_ms):
            return Refusal(reason)
        admitted, cut = count, None
        if site.monthly_quota is not None:
            left = site.monthly_quota - self.usage.count(site.id, now_ms=now_ms)
            if left < 1:  # used up meanwhile by another worker
                return Refusal(Reason.QUOTA_EXCEEDED)
            if left < admitted:
                admitted, cut = left, Cut(left, Reason.QUOTA_EXCEEDED)
        if site.rate_limit is None:
            return cut
        room = self._claim(site, site.rate_limit, admitted)
        if not room:
            wait_s = self._windows.seconds_to_end(site.rate_window_s)
            return Refusal(Reason.THROTTLE, wait_s)
        return Cut(room, Reason.THROTTLE) if room < admitted else cut

    def count_accepted(self, site_id: int, events: int, *, now_ms: int) -> None:
        """Count events that are on disk against the site's quota, if it has one."""
        self.usage.add(site_id, events, now_ms=now_ms)

    def _find_bar(self, site: Site, *, now_ms: int) -> Reason | None:
        """Return why the site may have no event at all, whatever the window says."""
        until = site.accept_traffic_until
        if until and now_ms // _DAY_MS > until.toordinal() - _EPOCH:
            return Reason.PAYMENT_REQUIRED
        quota = site.monthly_quota
        if quota is not None and self.usage.count(site.id, now_ms=now_ms) >= quota:
            return Reason.QUOTA_EXCEEDED
        return Reason.BLOCK if site.rate_limit == 0 else None

    def _claim(self, site: Site, limit: int, events: int) -> int:
        return self._windows.claim(
            site.id, site.rate_window_s, events=events, limit=limit
        )


def is_unlimited(site: Site) -> bool:
    """Whether a site may have any number of events at any time."""
    return (
        site.rate_limit is None
        and site.monthly_quota is None
        and site.accept_traffic_until is None
    )
