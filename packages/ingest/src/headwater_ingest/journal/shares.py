"""How much of the backlog each site holds, and whether it may hold more.

Kept in memory, since it is asked for every batch, and made anew from the chunks at the
start. Chunks are gathered into stretches of the stream of bodies, each let go when all
of it is written: what a site holds is told up to one stretch too high. The longer the
backlog, the longer are the new ones: ten thousand sites in ten gigabytes take 0.1 GB of
memory then, where stretches of one length would take 3.

The commit thread writes, the event loop reads single numbers.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

STRETCH_BYTES: Final = 64 * 1024
MIN_STRETCHES: Final = 16
"""Into so many a backlog is divided while it grows, if each has `STRETCH_BYTES`.

They stay as they are while it shrinks: what a site holds is then told too high by up to
this part of the largest backlog there was.
"""


@dataclass(slots=True)
class _Stretch:
    """What some chunks in a row hold.

    Attributes:
        start: Where the first begins in the stream of bodies, give or take some bytes.
        end: Where the last ends.
        sites: Bytes by site.
    """

    start: int
    end: int
    sites: dict[int, int]


class Shares:
    """Bytes in the backlog by site."""

    def __init__(self) -> None:
        self._held: dict[int, int] = {}
        self._stretches: deque[_Stretch] = deque()

    def hold(self, sites: Mapping[int, tuple[int, int]], *, end: int) -> None:
        """Add a chunk.

        Args:
            sites: Rows and bytes by site.
            end: Where the chunk ends in the stream of bodies.
        """
        if not sites:
            return
        begin = end - sum(size for _, size in sites.values())
        stretch = self._open_stretch(begin, end)
        held, added = self._held, stretch.sites
        for site_id, (_, size) in sites.items():
            held[site_id] = held.get(site_id, 0) + size
            added[site_id] = added.get(site_id, 0) + size

    def release(self, *, before: int) -> None:
        """Let go of what lies before a place in the stream of bodies."""
        while self._stretches and self._stretches[0].end <= before:
            for site_id, size in self._stretches.popleft().sites.items():
                left = self._held[site_id] - size
                if left:
                    self._held[site_id] = left
                else:
                    del self._held[site_id]

    def held_by(self, site_id: int) -> int:
        """Return the bytes that a site holds."""
        return self._held.get(site_id, 0)

    def fair_share(self, site_id: int, *, room: int, known_sites: int) -> int:
        """Return how much a site may hold when room is scarce.

        All sites that hold something, and the one that asks, have the same. One share
        is kept for all those that hold nothing yet, if there are any.

        Args:
            site_id: The one that asks.
            room: Bytes to divide.
            known_sites: How many sites there are.
        """
        takers = len(self._held) + (site_id not in self._held)
        return room // (takers + (known_sites > takers))

    def _open_stretch(self, begin: int, end: int) -> _Stretch:
        """Return the stretch of a chunk that lies there."""
        last = self._stretches[-1] if self._stretches else None
        if last is None or end - last.start > self._limit_stretch(end):
            last = _Stretch(begin, end, {})
            self._stretches.append(last)
        last.end = end
        return last

    def _limit_stretch(self, end: int) -> int:
        """Return how long a stretch may be in a backlog that ends there."""
        return max(STRETCH_BYTES, (end - self._stretches[0].start) // MIN_STRETCHES)
