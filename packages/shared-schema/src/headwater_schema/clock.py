"""When an event happened, told by clocks that may be wrong.

The client states the time of each event and, anew for every attempt, the time of
sending. Their distance is trusted even where the clock itself is not. Times are
integer milliseconds since 1970-01-01 UTC.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import floor
from typing import Any, Final

from headwater_schema.limits import MAX_CLOCK_SKEW_S

MAX_SKEW_MS: Final = MAX_CLOCK_SKEW_S * 1000
EARLIEST_MS: Final = 946_684_800_000
"""2000-01-01: an event before it is `timestamp_out_of_range`."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_DAY_MS: Final = 86_400_000


def to_ms(time: datetime | float) -> int:
    """Returns `time` as epoch milliseconds, cut towards the past.

    Args:
        time: A datetime (one without offset is UTC), or epoch milliseconds.

    Raises:
        OverflowError: `time` is infinite.
        ValueError: `time` is not a number.
    """
    if not isinstance(time, datetime):
        return floor(time)
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return (time - _EPOCH) // _MS


def skew_ms(sent_at_ms: int | None, *, received_at_ms: int, historical: bool) -> int:
    """Returns what to add to the times of a batch so that they fit our clock.

    A skew within 300 s is taken for none, so that a retry on any node gives the same
    time. A batch without time of sending, or a historical one, is believed.
    """
    if sent_at_ms is None or historical:
        return 0
    skew = received_at_ms - sent_at_ms
    return skew if abs(skew) > MAX_SKEW_MS else 0


def event_time_ms(
    timestamp: datetime | float | None, *, received_at_ms: int, skew: int
) -> int | None:
    """Returns when the event happened, or None if that is before the year 2000.

    A time in the future becomes the time of arrival; `is_future` tells that.

    Args:
        timestamp: What the client said; None stands for the time of arrival.
        received_at_ms: When the request arrived.
        skew: What `skew_ms` found for the batch.
    """
    if timestamp is None:
        return received_at_ms
    try:
        time = to_ms(timestamp) + skew
    except (OverflowError, ValueError):
        return None
    if time > received_at_ms + MAX_SKEW_MS:
        return received_at_ms
    return time if time >= EARLIEST_MS else None


def plain_times_ms(
    timestamps: Sequence[Any], *, received_at_ms: int, skew: int
) -> list[int] | None:
    """Returns what `event_time_ms` returns for each event of a plain batch, or None.

    All times of such a batch have an offset, and none is too early or in the future.
    Together they take a third of the time.

    Args:
        timestamps: What the client said of each.
        received_at_ms: When the request arrived.
        skew: What `skew_ms` found for the batch.
    """
    try:
        times = [
            (since := time - _EPOCH).days * _DAY_MS
            + since.seconds * 1000
            + since.microseconds // 1000
            + skew
            for time in timestamps
        ]
    except TypeError:
        return None
    latest = received_at_ms + MAX_SKEW_MS
    if times and (min(times) < EARLIEST_MS or max(times) > latest):
        return None
    return times


def is_future(
    timestamp: datetime | float | None, *, received_at_ms: int, skew: int
) -> bool:
    """Whether a time for which `event_time_ms` has an answer lay in the future."""
    if timestamp is None:
        return False
    return to_ms(timestamp) + skew > received_at_ms + MAX_SKEW_MS
