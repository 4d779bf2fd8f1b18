"""A clock of milliseconds since 1970 that never runs backwards."""

from collections.abc import Callable
from time import monotonic_ns, time_ns

Clock = Callable[[], int]


def start_clock() -> Clock:
    """Return a clock that is set once, now, and then follows the monotonic one.

    A step of the system's clock would otherwise empty the duplicate window, or make
    rows that wait look new.
    """
    return follow_clock(measure_offset_ns())


def follow_clock(offset_ns: int) -> Clock:
    """Return the clock that was set by an offset, be it by another process."""
    return lambda: (monotonic_ns() + offset_ns) // 1_000_000


def measure_offset_ns() -> int:
    """Return by how much the system's clock is ahead of the monotonic one."""
    return time_ns() - monotonic_ns()
