"""The rule of time: clocks that may be wrong, and retries that give the same time."""

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_schema.clock import (
    EARLIEST_MS,
    MAX_SKEW_MS,
    event_time_ms,
    is_future,
    plain_times_ms,
    skew_ms,
    to_ms,
)

NOW = 1_795_255_200_000
"""2026-11-21 10:00 UTC."""


def event_time(
    timestamp: datetime | float | None,
    *,
    sent_at: int | None = NOW,
    received_at: int = NOW,
    historical: bool = False,
) -> int | None:
    skew = skew_ms(sent_at, received_at_ms=received_at, historical=historical)
    return event_time_ms(timestamp, received_at_ms=received_at, skew=skew)


@pytest.mark.parametrize(
    "time, ms",
    [
        (NOW, NOW),
        (1.999, 1),
        (-1.001, -2),
        (datetime(2026, 11, 21, 10, tzinfo=UTC), NOW),
        (datetime(2026, 11, 21, 10), NOW),  # noqa: DTZ001 - none is UTC
        (datetime(2026, 11, 21, 12, tzinfo=timezone(timedelta(hours=2))), NOW),
        (datetime(1970, 1, 1, microsecond=1999, tzinfo=UTC), 1),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), -1),
        (datetime.max.replace(tzinfo=UTC), 253_402_300_799_999),
        (datetime.min.replace(tzinfo=UTC), -62_135_596_800_000),
    ],
)
def test_time_is_cut_to_milliseconds_of_utc(time: datetime | float, ms: int) -> None:
    assert to_ms(time) == ms


@pytest.mark.parametrize(
    "time, error",
    [(math.inf, OverflowError), (-math.inf, OverflowError), (math.nan, ValueError)],
)
def test_time_that_is_no_number_has_no_milliseconds(
    time: float, error: type[Exception]
) -> None:
    with pytest.raises(error):
        to_ms(time)


@pytest.mark.parametrize("skew", [0, 1, -1, MAX_SKEW_MS, -MAX_SKEW_MS])
def test_skew_up_to_300_seconds_is_none(skew: int) -> None:
    assert skew_ms(NOW - skew, received_at_ms=NOW, historical=False) == 0


@pytest.mark.parametrize("skew", [MAX_SKEW_MS + 1, -MAX_SKEW_MS - 1, 10**13, -(10**13)])
def test_skew_beyond_300_seconds_is_added(skew: int) -> None:
    assert skew_ms(NOW - skew, received_at_ms=NOW, historical=False) == skew


def test_historical_batch_is_believed() -> None:
    assert skew_ms(0, received_at_ms=NOW, historical=True) == 0


def test_batch_without_time_of_sending_is_believed() -> None:
    assert skew_ms(None, received_at_ms=NOW, historical=False) == 0


def test_event_of_a_good_clock_keeps_its_time() -> None:
    assert event_time(NOW - 12_345, sent_at=NOW - MAX_SKEW_MS) == NOW - 12_345


def test_event_of_a_slow_clock_is_moved_on() -> None:
    hour = 3_600_000
    assert event_time(NOW - hour - 5, sent_at=NOW - hour) == NOW - 5


def test_event_of_a_fast_clock_is_moved_back() -> None:
    year = 365 * 86_400_000
    assert event_time(NOW + year - 5, sent_at=NOW + year) == NOW - 5


def test_event_without_time_happened_when_it_arrived() -> None:
    assert event_time(None) == NOW
    assert event_time(None, sent_at=0) == NOW


def test_event_up_to_300_seconds_ahead_keeps_its_time() -> None:
    assert event_time(NOW + MAX_SKEW_MS) == NOW + MAX_SKEW_MS


@pytest.mark.parametrize("timestamp", [NOW + MAX_SKEW_MS + 1, 10**30, 1e300])
def test_event_further_ahead_happened_when_it_arrived(timestamp: float) -> None:
    assert event_time(timestamp) == NOW
    assert event_time(timestamp, historical=True) == NOW


def test_first_instant_of_2000_is_in_range() -> None:
    assert (
        event_time(datetime(2000, 1, 1, tzinfo=UTC)) == EARLIEST_MS == 946_684_800_000
    )


@pytest.mark.parametrize(
    "timestamp",
    [
        EARLIEST_MS - 1,
        datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime.min.replace(tzinfo=UTC),
        -1,
        -1e300,
        -(10**30),
        -math.inf,
        math.inf,
        math.nan,
    ],
)
def test_event_before_2000_or_at_no_time_is_out_of_range(
    timestamp: datetime | float,
) -> None:
    assert event_time(timestamp) is None


def test_range_is_that_of_the_corrected_time() -> None:
    assert event_time(-1, sent_at=0) == NOW - 1
    assert event_time(EARLIEST_MS, sent_at=NOW + 10**9) is None


times = st.one_of(
    st.none(),
    st.integers(NOW - 10**12, NOW + 10**12),
    st.floats(),
    st.datetimes(timezones=st.sampled_from([None, UTC, timezone(timedelta(hours=-9))])),
)


@given(timestamp=times, skew=st.integers(-(10**13), 10**13), historical=st.booleans())
def test_event_time_is_out_of_range_or_between_2000_and_now(
    *, timestamp: datetime | float | None, skew: int, historical: bool
) -> None:
    time = event_time(timestamp, sent_at=NOW - skew, historical=historical)
    assert time is None or EARLIEST_MS <= time <= NOW + MAX_SKEW_MS


@given(
    st.integers(EARLIEST_MS, NOW),
    st.integers(0, MAX_SKEW_MS),
    st.integers(-MAX_SKEW_MS, 0),
    st.lists(st.integers(0, 10**9), min_size=2, max_size=5),
)
def test_retry_of_a_good_clock_gives_the_same_time_on_any_node(
    timestamp: int, travel: int, clock_of_node: int, attempts: list[int]
) -> None:
    seen = {
        event_time(
            timestamp,
            sent_at=NOW + attempt,
            received_at=NOW + attempt + travel + clock_of_node,
        )
        for attempt in attempts
    }
    assert seen == {timestamp}


@given(
    st.integers(NOW - 10**9, NOW),
    st.integers(MAX_SKEW_MS + 1, 10**12),
    st.lists(st.integers(0, 10**9), min_size=2, max_size=5),
)
def test_retry_of_a_slow_clock_gives_the_same_time(
    happened_at: int, slow_by: int, attempts: list[int]
) -> None:
    seen = {
        event_time(
            happened_at - slow_by,
            sent_at=NOW + attempt - slow_by,
            received_at=NOW + attempt,
        )
        for attempt in attempts
    }
    assert seen == {happened_at}


@given(
    st.none()
    | st.integers(NOW - 10**6, NOW + 10**6)
    | st.sampled_from([NOW, NOW + MAX_SKEW_MS, NOW + MAX_SKEW_MS + 1]),
    st.integers(-(10**6), 10**6),
)
def test_a_time_is_in_the_future_exactly_if_another_one_is_taken(
    timestamp: int | None, skew: int
) -> None:
    time = event_time_ms(timestamp, received_at_ms=NOW, skew=skew)

    assert is_future(timestamp, received_at_ms=NOW, skew=skew) == (
        timestamp is not None and time != timestamp + skew
    )


OFFSETS = st.timezones() | st.just(UTC)
AROUND_NOW = st.datetimes(
    min_value=datetime(1999, 12, 1),  # noqa: DTZ001 - hypothesis adds the offset
    max_value=datetime(2026, 11, 21, 10),  # noqa: DTZ001
    timezones=OFFSETS,
)


@given(st.lists(AROUND_NOW, max_size=5), st.integers(-400_000, 400_000))
def test_times_of_a_plain_batch_are_those_of_its_events(
    timestamps: list[datetime], skew: int
) -> None:
    times = [event_time_ms(each, received_at_ms=NOW, skew=skew) for each in timestamps]
    is_plain = None not in times and not any(
        is_future(each, received_at_ms=NOW, skew=skew) for each in timestamps
    )

    found = plain_times_ms(timestamps, received_at_ms=NOW, skew=skew)

    assert found == (times if is_plain else None)


@pytest.mark.parametrize(
    "odd",
    [
        None,
        NOW,
        datetime(2026, 11, 21, 10),  # noqa: DTZ001 - none is UTC
        datetime(2026, 11, 21, 11, tzinfo=UTC),
        datetime(1999, 12, 31, tzinfo=UTC),
    ],
)
def test_a_batch_with_an_odd_time_is_not_plain(odd: datetime | float | None) -> None:
    good = datetime(2026, 11, 21, 9, tzinfo=UTC)

    assert plain_times_ms([good, odd], received_at_ms=NOW, skew=0) is None
    assert plain_times_ms([good], received_at_ms=NOW, skew=0) == [NOW - 3_600_000]
