"""Counts that the workers of a service share: a table in a file that all have mapped.

    slot       site (0: free) | end of the window, epoch ms | events, each a UInt64
    place      hash of the site, then the next slots, 64 at most

A lock on the file goes before each look. The kernel takes it from a process that dies,
so a killed worker holds up nobody, and a slot is written in one go. A slot whose window
has passed is taken by the next site that needs one; none is ever freed, so that a look
may stop at the first free one.

The file takes 1.5 MB, for 65,536 sites with a limit. Sites that find no room are
counted by each process for itself: their limits hold per worker until there is room.
"""

import fcntl
import mmap
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from typing import IO, Final

from headwater_ingest.sites.counts import Counted, OwnCounts

SLOTS: Final = 1 << 16
PROBES: Final = 64

_SLOT: Final = Struct("=QQQ")
_SPREAD: Final = 0x9E3779B97F4A7C15  # so that neighbours among numbers are none here
_SHIFT: Final = 64 - 16


def make_shared_file(directory: Path) -> IO[bytes]:
    """Return an empty table, a file without a name, for all who get its descriptor."""
    file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - the caller's
    file.truncate(SLOTS * _SLOT.size)
    return file


class SharedCounts:
    """`Counts` that several processes write. One thread of each may use it."""

    def __init__(self, fd: int) -> None:
        """Open a table.

        Args:
            fd: The file that `make_shared_file` made. It stays open as long as this.
        """
        self._fd = fd
        self._map = mmap.mmap(fd, SLOTS * _SLOT.size)
        self._own = OwnCounts()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all others away."""
        fcntl.lockf(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def read(self, site_id: int) -> Counted:
        """Return what was last written for a site."""
        for at in _places(site_id):
            holder, ends_ms, events = _SLOT.unpack_from(self._map, at)
            if holder == site_id:
                return Counted(ends_ms, events)
            if not holder:
                break
        return self._own.read(site_id)

    def write(self, site_id: int, counted: Counted, *, now_ms: int) -> None:
        """Put a number in place."""
        at = self._find_slot(site_id, now_ms)
        if at is None:
            self._own.write(site_id, counted, now_ms=now_ms)
        else:
            _SLOT.pack_into(self._map, at, site_id, *counted)

    def _find_slot(self, site_id: int, now_ms: int) -> int | None:
        """Return where the site is, or else where it may be."""
        passed: int | None = None
        for at in _places(site_id):
            holder, ends_ms, _ = _SLOT.unpack_from(self._map, at)
            if holder == site_id:
                return at
            if not holder:
                return at if passed is None else passed
            if passed is None and ends_ms <= now_ms:
                passed = at
        return passed


def _places(site_id: int) -> Iterator[int]:
    first = (site_id * _SPREAD % 2**64) >> _SHIFT
    for probe in range(PROBES):
        yield (first + probe) % SLOTS * _SLOT.size
