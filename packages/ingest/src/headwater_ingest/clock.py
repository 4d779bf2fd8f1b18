"""A clock of milliseconds since 1970 that never runs backwards."""

from collections.abc import Callable
from time import monotonic_ns, time_ns

Clock = Callable[[], int]


def start_clock() -> Clock:
    """Return a clock that is set once, now, and then follows the monotonic one.

    A step of the system's clock would otherwise empty the duplicate window, or make
    rows that wait look new.
    """
    offset_ns = time_ns() - monotonic_ns()
    return lambda: (monotonic_ns() + offset_ns) // 1_000_000
