"""The duplicate window: exact within its bounds, and bounded whatever comes."""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.journal.window import (
    ANSWER_BYTES,
    GENERATIONS,
    DuplicateWindow,
)

HOUR_MS = 3600 * 1000


def make_id(number: int) -> bytes:
    return number.to_bytes(16)


def make_window(
    max_events: int = 1000, max_age_ms: int = 24 * HOUR_MS
) -> DuplicateWindow:
    return DuplicateWindow(max_events=max_events, max_age_ms=max_age_ms)


def add(
    window: DuplicateWindow,
    seq: int,
    at_ms: int = 0,
    *,
    events: range = range(0),
    batches: range = range(0),
    answer_bytes: int = 0,
) -> None:
    window.add(
        seq,
        at_ms,
        event_ids=[make_id(each) for each in events],
        batch_ids=[make_id(each) for each in batches],
        answer_bytes=answer_bytes,
    )


def test_an_empty_window_knows_nothing() -> None:
    window = make_window()

    assert window.find_events([make_id(1)]) == set()
    assert window.find_batch(make_id(1)) is None
    assert (window.events, window.first_seq, window.from_ms) == (0, 0, None)


def test_the_latest_answer_of_a_batch_counts() -> None:
    window = make_window()
    add(window, 1, batches=range(5))
    add(window, 2, 12 * HOUR_MS, batches=range(2, 3))

    assert window.find_batch(make_id(1)) == 1
    assert window.find_batch(make_id(2)) == 2


@given(
    sizes=st.lists(st.integers(0, 60), max_size=80), max_events=st.integers(100, 500)
)
def test_it_keeps_the_latest_ids_and_no_more_than_allowed(
    sizes: list[int], max_events: int
) -> None:
    window = make_window(max_events)
    added: list[bytes] = []
    for seq, size in enumerate(sizes, 1):
        add(window, seq, events=range(len(added), len(added) + size))
        added += [make_id(each) for each in range(len(added), len(added) + size)]

        known = window.find_events(added)
        assert known == set(added[len(added) - len(known) :])
        assert window.events == len(known) <= max_events
        # What is dropped at once is one generation and the row that filled it.
        assert len(known) >= min(
            len(added), max_events - max_events // GENERATIONS - 60
        )


def test_it_keeps_ids_for_as_long_as_asked() -> None:
    window = make_window(max_age_ms=24 * HOUR_MS)
    for hour in range(100):
        add(window, hour + 1, hour * HOUR_MS, events=range(hour, hour + 1))
        expected = {make_id(each) for each in range(max(0, hour - 24), hour + 1)}

        known = window.find_events([make_id(each) for each in range(100)])
        assert known >= expected
        assert len(known) <= 24 + 24 / GENERATIONS + 1


def test_a_clock_that_was_set_back_empties_nothing() -> None:
    window = make_window()
    add(window, 1, 48 * HOUR_MS, events=range(1))
    add(window, 2, 0, events=range(1, 2))

    assert window.events == 2


def test_answers_without_events_are_bounded_too() -> None:
    window = make_window(max_events=100)
    for seq in range(1, 1000):
        add(window, seq, batches=range(seq, seq + 1), answer_bytes=ANSWER_BYTES)

    known = [seq for seq in range(1, 1000) if window.find_batch(make_id(seq))]
    assert 70 <= len(known) <= 100
    assert known[0] == window.first_seq


def test_one_row_larger_than_the_window_is_kept() -> None:
    window = make_window(max_events=100)
    add(window, 1, events=range(150))
    add(window, 2, events=range(150, 151))

    assert window.events == 1
    assert window.first_seq == 2


def test_it_says_what_it_covers() -> None:
    window = make_window(max_events=100)
    numbers = count(1)
    for at_ms in range(0, 10_000, 1000):
        seq = next(numbers)
        add(window, seq, at_ms, events=range(seq * 20, seq * 20 + 20))

    first = window.first_seq
    assert first > 1
    assert window.from_ms == (first - 1) * 1000
