"""How much of the backlog each site holds, and whether it may hold more.

Kept in memory, since it is asked for every batch, and made anew from the chunks at the
start. Chunks are gathered into stretches of the stream of bodies, each let go when all
of it is written: what a site holds is told up to one stretch too high. The longer the
backlog, the longer are the new ones: ten thousand sites in ten gigabytes take 0.1 GB of
memory then, where stretches of one length would take 3.

Nobody asks while there is room. So chunks are only put down, and summed up when
somebody asks or many are there: while the writer keeps up, that is hardly ever.
"""

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

from headwater_ingest.journal.accounts import decode_sites

STRETCH_BYTES: Final = 64 * 1024
MIN_STRETCHES: Final = 16
"""Into so many a backlog is divided while it grows, if each has `STRETCH_BYTES`.

They stay as they are while it shrinks: what a site holds is then told too high by up to
this part of the largest backlog there was.
"""

MOST_UNSUMMED_BYTES: Final = 256 * 1024
"""Of what is put down before it is summed up, in 4 ms: some 20,000 sites."""


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
    """Bytes in the backlog by site. Used by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[int, int] = {}
        self._stretches: deque[_Stretch] = deque()
        self._unsummed: deque[tuple[int, bytes]] = deque()
        self._unsummed_bytes = 0

    def hold(self, sites: bytes, *, end: int) -> None:
        """Add a chunk.

        Args:
            sites: Whose rows it has, as `encode_sites` makes it.
            end: Where the chunk ends in the stream of bodies.
        """
        if not sites:
            return
        with self._lock:
            self._unsummed.append((end, sites))
            self._unsummed_bytes += len(sites)
            if self._unsummed_bytes >= MOST_UNSUMMED_BYTES:
                self._sum_up()

    def release(self, *, before: int) -> None:
        """Let go of what lies before a place in the stream of bodies."""
        with self._lock:
            while self._stretches and self._stretches[0].end <= before:
                self._release(self._stretches.popleft())
            while self._unsummed and self._unsummed[0][0] <= before:
                _, sites = self._unsummed.popleft()
                self._unsummed_bytes -= len(sites)

    def held_by(self, site_id: int) -> int:
        """Return the bytes that a site holds."""
        with self._lock:
            self._sum_up()
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
        with self._lock:
            self._sum_up()
            takers = len(self._held) + (site_id not in self._held)
        return room // (takers + (known_sites > takers))

    def _sum_up(self) -> None:
        for end, encoded in self._unsummed:
            sites = decode_sites(encoded)
            begin = end - sum([size for _, _, size in sites])
            held, added = self._held, self._open_stretch(begin, end).sites
            for site_id, _, size in sites:
                held[site_id] = held.get(site_id, 0) + size
                added[site_id] = added.get(site_id, 0) + size
        self._unsummed.clear()
        self._unsummed_bytes = 0

    def _release(self, stretch: _Stretch) -> None:
        for site_id, size in stretch.sites.items():
            left = self._held[site_id] - size
            if left:
                self._held[site_id] = left
            else:
                del self._held[site_id]

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
