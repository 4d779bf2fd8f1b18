"""The duplicate window: exact within its bounds, and bounded whatever comes."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.journal import window as window_module
from headwater_ingest.journal.window import (
    BYTES_PER_EVENT,
    DuplicateWindow,
    SeenRow,
)

HOUR_MS = 3600 * 1000


def make_ids(numbers: range) -> bytes:
    return b"".join(each.to_bytes(16) for each in numbers)


def split(ids: bytes) -> list[bytes]:
    return [ids[at : at + 16] for at in range(0, len(ids), 16)]


class Table:
    """The window and its table `seen`, without a disk."""

    def __init__(self, max_events: int = 1000) -> None:
        self.window = DuplicateWindow(max_events=max_events, max_age_ms=24 * HOUR_MS)
        self.rows: deque[SeenRow] = deque()
        self.seq = 0

    def add(
        self,
        at_ms: int = 0,
        *,
        events: range = range(0),
        batches: range = range(0),
        answer_bytes: int = 0,
    ) -> None:
        self.seq += 1
        ids, batch_ids = make_ids(events), make_ids(batches)
        fresh = SeenRow(self.seq, at_ms, ids, batch_ids, answer_bytes)
        expired = self.window.select_expired(self.rows, fresh=fresh)
        for _ in expired:
            self.rows.popleft()
        self.window.add(fresh, set(split(fresh.event_ids)))
        self.rows.append(fresh)
        self.window.drop(expired, from_ms=self.rows[0].at_ms)


@pytest.fixture
def table() -> Table:
    return Table()


def test_an_empty_window_knows_nothing(table: Table) -> None:
    window = table.window

    assert window.find_events(split(make_ids(range(3)))) == set()
    assert window.find_batch(make_ids(range(1))) is None
    assert (window.events, window.bytes, window.from_ms) == (0, 0, None)


def test_the_latest_answer_of_a_batch_counts(table: Table) -> None:
    table.add(batches=range(5))
    table.add(12 * HOUR_MS, batches=range(2, 3))

    assert table.window.find_batch(make_ids(range(1, 2))) == 1
    assert table.window.find_batch(make_ids(range(2, 3))) == 2

    table.add(25 * HOUR_MS)

    assert table.window.find_batch(make_ids(range(1, 2))) is None
    assert table.window.find_batch(make_ids(range(2, 3))) == 2


@given(
    sizes=st.lists(st.integers(0, 60), max_size=80), max_events=st.integers(100, 500)
)
def test_it_keeps_the_latest_ids_that_fit_and_no_others(
    sizes: list[int], max_events: int
) -> None:
    table = Table(max_events)
    added: list[bytes] = []
    for size in sizes:
        fresh = range(len(added), len(added) + size)
        table.add(events=fresh)
        added += split(make_ids(fresh))
        kept = [each for row in table.rows for each in split(row.event_ids)]

        assert table.window.find_events(added) == set(kept)
        assert added[len(added) - len(kept) :] == kept
        assert len(kept) == table.window.events <= max_events
        # No row was let go for which there was room.
        assert len(kept) >= min(len(added), max_events - 60)


@given(before=st.integers(0, 12), since=st.integers(0, 12), asked=st.integers(0, 40))
def test_who_has_looked_is_told_of_all_that_was_taken_since(
    before: int, since: int, asked: int
) -> None:
    table = Table()
    for number in range(before):
        table.add(events=range(1000 + number, 1001 + number))
    ids = set(split(make_ids(range(asked))))
    through = table.window.through
    assert table.window.find_events(ids) == set()

    for number in range(since):
        table.add(events=range(3 * number, 3 * number + 2))

    found = table.window.find_events_since(ids, through)
    assert found == table.window.find_events(ids)


def test_who_has_not_looked_is_told_of_all(table: Table) -> None:
    table.add(events=range(3))
    ids = set(split(make_ids(range(5))))

    assert table.window.find_events_since(ids, 0) == table.window.find_events(ids)


def test_it_keeps_ids_for_as_long_as_asked(table: Table) -> None:
    for hour in range(100):
        table.add(hour * HOUR_MS, events=range(hour, hour + 1))
        expected = range(max(0, hour - 24), hour + 1)

        known = table.window.find_events(split(make_ids(range(100))))
        assert known == set(split(make_ids(expected)))
        assert table.window.from_ms == expected.start * HOUR_MS


def test_a_clock_that_was_set_back_empties_nothing(table: Table) -> None:
    table.add(48 * HOUR_MS, events=range(1))
    table.add(0, events=range(1, 2))

    assert table.window.events == 2


def test_answers_without_events_are_bounded_too() -> None:
    table = Table(max_events=100)
    for number in range(1000):
        batch = range(number, number + 1)
        table.add(batches=batch, answer_bytes=BYTES_PER_EVENT - 16)

    find = table.window.find_batch
    known = [each for each in range(1000) if find(make_ids(range(each, each + 1)))]
    assert known == list(range(900, 1000))
    assert table.window.bytes == 100 * BYTES_PER_EVENT


def test_one_row_larger_than_the_window_is_kept() -> None:
    table = Table(max_events=100)
    table.add(events=range(150))

    assert table.window.events == 150

    table.add(events=range(150, 151))

    assert table.window.events == 1


def test_bytes_of_two_ids_that_spell_a_third_are_no_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(window_module, "_EVENT_BUCKETS", 1)
    monkeypatch.setattr(window_module, "_BATCH_BUCKETS", 1)
    first, second = bytes(range(16)), bytes(range(16, 32))
    between = first[5:] + second[:5]
    window = DuplicateWindow(max_events=100, max_age_ms=HOUR_MS)
    window.add(SeenRow(1, 0, first + second, first + second, 0), {first, second})

    assert window.find_events([first, second, between]) == {first, second}
    assert window.find_batch(between) is None

    row = SeenRow(2, 0, between, between, 0)
    window.add(row, {between})
    assert window.find_events([between]) == {between}
    assert window.find_batch(between) == 2

    window.drop([row], from_ms=0)
    assert window.find_events([first, second, between]) == {first, second}
    assert window.find_batch(second) == 1
