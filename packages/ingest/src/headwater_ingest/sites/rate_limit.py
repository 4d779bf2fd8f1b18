"""Counts events in fixed windows of time, one count per site.

Windows are aligned to the epoch: a window of 60 s begins with the minute, so that all
nodes turn at once and `Retry-After` is exact. Counts are this node's own.
"""

from headwater_ingest.clock import Clock
from headwater_ingest.sites.counts import Counted, Counts, OwnCounts


class RateWindows:
    """The current window of each site that has a limit. Owned by the loop."""

    def __init__(self, clock: Clock, counts: Counts | None = None) -> None:
        """Begin with what has been counted.

        Args:
            clock: By which windows turn; it must never run backwards.
            counts: Where the numbers are; in the memory of this process by default.
        """
        self._clock = clock
        self._counts: Counts = OwnCounts() if counts is None else counts

    def claim(self, site_id: int, window_s: int, *, events: int, limit: int) -> int:
        """Take up room in the window of now, for all events if it has it.

        Returns:
            How many events have room. Of those that would have it in a fresh window,
            all or none.
        """
        with self._counts.locked():
            now_ms = self._clock()
            ends_ms = _window_end_ms(window_s, now_ms)
            before = self._counts.read(site_id)
            count = before.events if before.ends_ms == ends_ms else 0
            room = max(0, limit - count)
            if room < events <= limit:
                return 0
            taken = min(events, room)
            if taken:
                counted = Counted(ends_ms, count + taken)
                self._counts.write(site_id, counted, now_ms=now_ms)
            return taken

    def seconds_to_end(self, window_s: int) -> int:
        """Return after how many whole seconds the next window has begun; 1 or more."""
        now_ms = self._clock()
        return -(-(_window_end_ms(window_s, now_ms) - now_ms) // 1000)


def _window_end_ms(window_s: int, now_ms: int) -> int:
    length_ms = window_s * 1000
    return (now_ms // length_ms + 1) * length_ms
