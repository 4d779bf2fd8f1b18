"""The heap in huge pages, of 2 MB instead of 4 KB each.

An event touches hundreds of places in a heap of 150 MB and more: visitors, sessions,
sites. The CPU knows by heart where some 2,000 pages are. What lies in any other one
costs it a walk through tables, and in a virtual machine one through those of the host
for each step of it. With huge pages a web event takes 6 to 8 % less CPU; see
`docs/benchmarks.md`.

Linux makes one page of a range when it is told to (`MADV_COLLAPSE`, since 6.1; see
madvise(2)). Of an older one, or one that is told to have no huge pages at all
(`never` in `/sys/kernel/mm/transparent_hugepage/enabled`), the heap stays as it is.
"""

import ctypes
import mmap
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

_MADV_COLLAPSE: Final = 25
_SETTINGS: Final = Path("/sys/kernel/mm/transparent_hugepage")
_MAPS: Final = Path("/proc/self/maps")
_EVERY_S: Final = 10.0
_WORK_S: Final = 0.0001
"""What takes longer has made a page. Who needs the memory waited: up to 6 ms."""
_REST_S: Final = 0.05
"""After a page, so that no request waits for two."""
_MIN_IN_USE: Final = 0.75
"""Of a range that becomes one page, which takes the memory of the rest as well."""


@cache
def start_using_huge_pages() -> None:
    """Put the heap of this process into huge pages, now and every ten seconds."""
    if can_use_huge_pages():
        threading.Thread(target=_keep_on, name="huge pages", daemon=True).start()


def can_use_huge_pages() -> bool:
    """Whether the system makes huge pages, and may."""
    try:
        if "[never]" in (_SETTINGS / "enabled").read_text("ascii"):
            return False
        size = _read_size()
        with mmap.mmap(-1, 2 * size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as probe:
            probe.write(bytes(2 * size))
            probe.madvise(_MADV_COLLAPSE)
    except (OSError, AttributeError):  # an older one, another one
        return False
    return True


def use_huge_pages() -> int:
    """Put those parts of the heap into huge pages that are in use, bit by bit.

    Returns:
        How many huge pages the heap has now.
    """
    libc, size = ctypes.CDLL(None), _read_size()
    return sum(
        _make_page(libc, at, size)
        for start, end in _find_heap()
        for at in range(-(-start // size) * size, end - size + 1, size)
        if _is_in_use(libc, at, size)
    )


def _keep_on() -> None:
    while True:
        use_huge_pages()
        time.sleep(_EVERY_S)


def _make_page(libc: ctypes.CDLL, at: int, size: int) -> bool:
    """Make one page of a range, unless it is one; whether it is one now."""
    started = time.perf_counter()
    failed = libc.madvise(ctypes.c_void_p(at), ctypes.c_size_t(size), _MADV_COLLAPSE)
    if time.perf_counter() - started > _WORK_S:
        time.sleep(_REST_S)
    return not failed


def _find_heap() -> Iterator[tuple[int, int]]:
    """Yield where there is memory of no file that may be written."""
    for line in _MAPS.read_text("utf-8", "replace").splitlines():
        addresses, access, _, _, inode, *name = line.split(maxsplit=5)
        if access.startswith("rw") and inode == "0" and name in ([], ["[heap]"]):
            start, _, end = addresses.partition("-")
            yield int(start, 16), int(end, 16)


def _is_in_use(libc: ctypes.CDLL, start: int, size: int) -> bool:
    """Whether most of a range is in memory; of the stack of a thread it is not."""
    pages = (ctypes.c_ubyte * (size // mmap.PAGESIZE))()
    if libc.mincore(ctypes.c_void_p(start), ctypes.c_size_t(size), pages):
        return False  # it is gone
    return sum(pages) >= len(pages) * _MIN_IN_USE


def _read_size() -> int:
    """Return the bytes of a huge page."""
    return int((_SETTINGS / "hpage_pmd_size").read_text("ascii"))
