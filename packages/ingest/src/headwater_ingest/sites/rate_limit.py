"""Counts events in fixed windows of time, one count per site.

Windows are aligned to the epoch: a window of 60 s begins with the minute, so that all
nodes turn at once and `Retry-After` is exact. Counts are this node's own. The times
must come from a clock that never runs backwards.
"""

from typing import Final

_PRUNE_FROM: Final = 1024


class RateWindows:
    """The current window of each site that has a limit. Owned by the loop.

    Memory is bounded by the sites that were active in a window of late: entries whose
    window has passed are thrown out before the table doubles.
    """

    def __init__(self) -> None:
        self._counts: dict[int, tuple[int, int]] = {}  # site → end of window, count
        self._prune_at = _PRUNE_FROM

    def __len__(self) -> int:
        return len(self._counts)

    def count(self, site_id: int, window_s: int, *, now_ms: int) -> int:
        """Return how many events the site has taken in the window of `now_ms`."""
        end_ms, count = self._counts.get(site_id, (0, 0))
        return count if end_ms == _window_end_ms(window_s, now_ms) else 0

    def add(self, site_id: int, window_s: int, *, events: int, now_ms: int) -> None:
        """Count events into the window of `now_ms`."""
        window_end_ms = _window_end_ms(window_s, now_ms)
        end_ms, count = self._counts.get(site_id, (0, 0))
        count = count + events if end_ms == window_end_ms else events
        self._counts[site_id] = (window_end_ms, count)
        if len(self._counts) >= self._prune_at:
            self._prune(now_ms)

    def _prune(self, now_ms: int) -> None:
        self._counts = {
            site_id: entry
            for site_id, entry in self._counts.items()
            if entry[0] > now_ms
        }
        self._prune_at = max(_PRUNE_FROM, 2 * len(self._counts))


def seconds_to_window_end(window_s: int, now_ms: int) -> int:
    """Return after how many whole seconds the next window has begun; 1 or more."""
    return -(-(_window_end_ms(window_s, now_ms) - now_ms) // 1000)


def _window_end_ms(window_s: int, now_ms: int) -> int:
    length_ms = window_s * 1000
    return (now_ms // length_ms + 1) * length_ms
