"""Where the counts of limited sites are kept: a number per site that ends at a time.

`RateWindows` and `MonthlyUsage` have the rules; what is here keeps numbers, in the
memory of this process or, in `shared_counts.py`, in that of several.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Final, NamedTuple, Protocol

_PRUNE_FROM: Final = 1024
_ALONE: Final = nullcontext()


class Counted(NamedTuple):
    """So many events of a site.

    Attributes:
        ends_ms: When the window ends that they belong to; 0 if nothing is known.
        events: How many.
    """

    ends_ms: int
    events: int


NOTHING: Final = Counted(0, 0)


class Counts(Protocol):
    """Keeps one number per site."""

    def locked(self) -> AbstractContextManager[object]:
        """Keeps others away between a look and what follows from it."""

    def read(self, site_id: int) -> Counted:
        """Returns what was last written for a site."""

    def write(self, site_id: int, counted: Counted, *, now_ms: int) -> None:
        """Puts a number in place; those that have ended at `now_ms` may be let go."""


class OwnCounts:
    """Counts in the memory of this process. Owned by the loop.

    Memory is bounded by the sites that were active in a window of late: numbers whose
    window has passed are thrown out before the table doubles.
    """

    def __init__(self) -> None:
        self._counts: dict[int, Counted] = {}
        self._prune_at = _PRUNE_FROM

    def __len__(self) -> int:
        return len(self._counts)

    def locked(self) -> AbstractContextManager[object]:
        """Keep nobody away: there is nobody else."""
        return _ALONE

    def read(self, site_id: int) -> Counted:
        """Return what was last written for a site."""
        return self._counts.get(site_id, NOTHING)

    def write(self, site_id: int, counted: Counted, *, now_ms: int) -> None:
        """Put a number in place."""
        self._counts[site_id] = counted
        if len(self._counts) >= self._prune_at:
            self._prune(now_ms)

    def _prune(self, now_ms: int) -> None:
        self._counts = {
            site_id: counted
            for site_id, counted in self._counts.items()
            if counted.ends_ms > now_ms
        }
        self._prune_at = max(_PRUNE_FROM, 2 * len(self._counts))
