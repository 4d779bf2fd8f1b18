"""When to try again. No I/O and no clock: time and chance are passed in.

A *round* is one attempt and its retries, spaced by exponential back-off with full
jitter. After a round that failed the next begins one flush interval later, and the
back-off goes on growing up to its cap. `Retry-After` is a lower bound to all this.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import Final

from msgspec import Struct

MAX_BACKOFF_S: Final = 60.0
MAX_RETRY_AFTER_S: Final = 300.0
_FIRST_BACKOFF_S: Final = 0.5
_LARGEST_EXPONENT: Final = 32


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """How often and how soon.

    Attributes:
        max_retries: Retries in a round; 0 makes each attempt a round.
        round_pause_s: What lies between two rounds, besides the back-off.
    """

    max_retries: int
    round_pause_s: float

    def backoff_s(self, failures: int, chance: float) -> float:
        """Returns the wait after the given number of failures in a row.

        Args:
            failures: One at least.
            chance: From 0 to 1, evenly spread.
        """
        exponent = min(failures - 1, _LARGEST_EXPONENT)
        return chance * min(MAX_BACKOFF_S, _FIRST_BACKOFF_S * 2.0**exponent)


class RetrySchedule:
    """Where we are between failures; its owner holds a lock around every call."""

    def __init__(self, policy: RetryPolicy, random: Callable[[], float]) -> None:
        self._policy = policy
        self._random = random
        self._failures = 0
        self._held_until = float("-inf")
        self.not_before = float("-inf")
        """No attempt may be made earlier."""

    def succeed(self) -> None:
        """Ends the waiting: the server is there."""
        self._failures = 0
        self._held_until = self.not_before = float("-inf")

    def fail(self, now: float, retry_after_s: float | None = None) -> bool:
        """Takes note of a failed attempt.

        Args:
            now: When it failed.
            retry_after_s: How long the server asked us to wait.

        Returns:
            Whether the round is over.
        """
        self._failures += 1
        is_over = self._failures % (self._policy.max_retries + 1) == 0
        wait_s = self._policy.backoff_s(self._failures, self._random())
        if is_over:
            wait_s += self._policy.round_pause_s
        if retry_after_s is not None:
            self._held_until = now + min(retry_after_s, MAX_RETRY_AFTER_S)
        self.not_before = max(now + wait_s, self._held_until)
        return is_over

    def hasten(self) -> None:
        """Begins a new round at once, unless the first is still under way.

        Only what the server asked for is still waited out.
        """
        if self._failures > self._policy.max_retries:
            self._failures = 0
            self.not_before = self._held_until


def parse_retry_after(value: str | None, wall_time: float) -> float | None:
    """Returns the seconds of a `Retry-After` header, or None if it says nothing.

    Args:
        value: Seconds, or an HTTP-date.
        wall_time: Seconds since the epoch, for the sake of the latter.
    """
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        # Whatever does not fit into a float is past every cap anyway.
        return float(value[:18])
    # 15 ms to import, and needed on bad days only.
    from email.utils import parsedate_to_datetime  # noqa: PLC0415

    try:
        date = parsedate_to_datetime(value)
        # A date that says "-0000" comes without offset, and is in UTC as all are.
        return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - wall_time)
    except (ValueError, OverflowError):
        return None
