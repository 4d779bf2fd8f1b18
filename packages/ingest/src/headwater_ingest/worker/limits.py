"""The limits of sites, exact over all workers: the tables that they have in common."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headwater_ingest.clock import follow_clock, measure_offset_ns
from headwater_ingest.sites.gatekeeper import Gatekeeper
from headwater_ingest.sites.quota import MonthlyUsage
from headwater_ingest.sites.shared_counts import SharedCounts, make_shared_file


class SharedLimits:
    """The windows of rate limits and the use of quotas, for one process.

    Attributes:
        fds: What another process needs to have the same.
        clock_offset_ns: By which windows turn at once in all processes.
        usage: What has been accepted in the month.
        gate: What decides by them.
    """

    def __init__(self, windows_fd: int, usage_fd: int, *, clock_offset_ns: int) -> None:
        self.fds = (windows_fd, usage_fd)
        self.clock_offset_ns = clock_offset_ns
        self.usage = MonthlyUsage(SharedCounts(usage_fd))
        self.gate = Gatekeeper(
            self.usage,
            clock=follow_clock(clock_offset_ns),
            windows=SharedCounts(windows_fd),
        )


@contextmanager
def open_limits(directory: Path) -> Iterator[SharedLimits]:
    """Make empty tables, which are gone with the last process that has them."""
    with make_shared_file(directory) as windows, make_shared_file(directory) as usage:
        yield SharedLimits(
            windows.fileno(), usage.fileno(), clock_offset_ns=measure_offset_ns()
        )
