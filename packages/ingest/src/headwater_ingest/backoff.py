"""How long to wait before a process that has died is started again."""

from collections.abc import Iterator
from typing import Final

FIRST_RESTART_S: Final = 0.1
LONGEST_RESTART_S: Final = 10.0
STEADY_S: Final = 30.0
"""A process that lived that long is restarted at once."""


def make_delays() -> Iterator[float]:
    """Yield the time before each restart: doubling, up to a bound, for ever."""
    delay_s = FIRST_RESTART_S
    while True:
        yield delay_s
        delay_s = min(delay_s * 2, LONGEST_RESTART_S)
