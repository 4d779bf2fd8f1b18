"""Counts of what became of events: in the transaction of their rows, or soon after."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from headwater_ingest.errors import JournalClosedError, JournalDamagedError
from headwater_ingest.journal import Count, Entry, Journal, JournalReader, Receipt
from headwater_ingest.journal.counts import (
    LONGEST_WAIT_S,
    CountBuffer,
    Tally,
    tally,
    tally_as_repeat,
    tally_with_repeats,
)
from headwater_ingest.journal.database import FILE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    MakeEntry = Callable[..., Entry]
    Append = Callable[..., list[Receipt]]
    WaitUntil = Callable[[Callable[[], bool]], None]

NOON_MS = 1_790_000_000_000 // 60_000 * 60_000
BOTS = Count(7, "dropped", "bot", 2)


def accepted(events: int) -> tuple[Count, ...]:
    return (Count(7, "accepted", "", events),)


def read_all(directory: Path) -> dict[int, Tally]:
    """Reads the counts of all blocks and lets these go."""
    found: dict[int, Tally] = {}
    with closing(JournalReader(directory)) as reader:
        while block := reader.next_block(1000, 0):
            for minute, sums in reader.read_counts(block).items():
                found.setdefault(minute, Counter()).update(sums)
            reader.checkpoint(block)
    return found


def read_sums(directory: Path) -> Tally:
    sums: Tally = Counter()
    for each in read_all(directory).values():
        sums.update(each)
    return sums


def test_sums_are_by_site_outcome_and_reason() -> None:
    counts = [BOTS, BOTS, BOTS._replace(site_id=8), BOTS._replace(reason="block")]

    assert tally(counts) == {
        (7, "dropped", "bot"): 4,
        (8, "dropped", "bot"): 2,
        (7, "dropped", "block"): 2,
    }


def test_events_that_were_known_after_all_are_duplicates() -> None:
    counts = [*accepted(5), BOTS]

    assert tally_with_repeats(counts, 2) == {
        (7, "accepted", ""): 3,
        (7, "duplicate", ""): 2,
        (7, "dropped", "bot"): 2,
    }
    assert (7, "accepted", "") not in tally_with_repeats(counts, 5)
    assert tally_as_repeat(counts) == {(7, "duplicate", ""): 7}


def test_the_counts_of_a_batch_are_with_its_rows(
    journal: Journal, tmp_path: Path, make_entry: MakeEntry, append: Append
) -> None:
    counts = (*accepted(3), BOTS)

    append(journal, replace(make_entry(3), counts=counts))

    assert read_sums(tmp_path) == tally(counts)


def test_a_batch_that_comes_again_counts_as_duplicates(
    journal: Journal, tmp_path: Path, make_entry: MakeEntry, append: Append
) -> None:
    entry = replace(make_entry(3), counts=(*accepted(3), BOTS))

    append(journal, entry, entry)
    append(journal, entry)

    assert read_sums(tmp_path) == {
        (7, "accepted", ""): 3,
        (7, "dropped", "bot"): 2,
        (7, "duplicate", ""): 10,
    }


def test_rows_of_ours_count_too(
    journal: Journal, tmp_path: Path, make_entry: MakeEntry, append: Append
) -> None:
    entry = replace(make_entry(1), batch_id=b"", counts=accepted(1))

    append(journal, entry, entry)

    assert read_sums(tmp_path) == {(7, "accepted", ""): 2}


def test_counts_are_of_the_minute_in_which_they_were_taken(
    tmp_path: Path, make_entry: MakeEntry, append: Append
) -> None:
    times = iter([NOON_MS, NOON_MS + 59_999, NOON_MS + 60_000])
    with closing(
        Journal.open(tmp_path, max_bytes=1 << 20, clock=lambda: next(times))
    ) as journal:
        for _ in range(3):
            append(journal, replace(make_entry(1), counts=accepted(1)))

    assert read_all(tmp_path) == {
        NOON_MS // 1000: {(7, "accepted", ""): 2},
        NOON_MS // 1000 + 60: {(7, "accepted", ""): 1},
    }


def test_what_leaves_no_rows_rides_in_the_next_commit(
    journal: Journal, tmp_path: Path, make_entry: MakeEntry, append: Append
) -> None:
    journal.count(BOTS)
    journal.count(BOTS)

    append(journal, make_entry(1))

    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        chunks = connection.execute("SELECT row_count FROM chunks").fetchall()
    assert chunks == [(1,)]
    assert read_sums(tmp_path) == {(7, "dropped", "bot"): 4}


def test_counts_without_any_rows_are_committed_after_a_while(
    journal: Journal, tmp_path: Path, wait_until: WaitUntil
) -> None:
    journal.count(BOTS)

    with closing(JournalReader(tmp_path)) as reader:
        wait_until(lambda: reader.next_block(1000, 0) is not None)

    assert read_sums(tmp_path) == {(7, "dropped", "bot"): 2}


def test_counts_are_on_disk_after_a_flush(journal: Journal, tmp_path: Path) -> None:
    journal.count(BOTS)

    asyncio.run(journal.flush_counts())

    assert read_sums(tmp_path) == {(7, "dropped", "bot"): 2}


def test_a_flush_of_nothing_writes_nothing(journal: Journal, tmp_path: Path) -> None:
    asyncio.run(journal.flush_counts())

    with closing(JournalReader(tmp_path)) as reader:
        assert reader.next_block(1000, 0) is None


def test_a_journal_that_closes_keeps_its_counts(tmp_path: Path) -> None:
    with closing(Journal.open(tmp_path, max_bytes=1 << 20)) as journal:
        journal.count(BOTS)

    assert read_sums(tmp_path) == {(7, "dropped", "bot"): 2}


def test_a_closed_journal_cannot_be_flushed(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, max_bytes=1 << 20)
    journal.close()

    with pytest.raises(JournalClosedError):
        asyncio.run(journal.flush_counts())


def test_counts_are_no_rows_that_wait(
    journal: Journal, make_entry: MakeEntry, append: Append
) -> None:
    async def flush() -> None:
        journal.count(BOTS)
        await journal.flush_counts()

    asyncio.run(flush())
    before = asyncio.run(journal.refresh())
    append(journal, make_entry(3))
    asyncio.run(flush())
    after = asyncio.run(journal.refresh())

    assert (before.rows_pending, before.oldest_pending_at_ms) == (0, None)
    assert after.rows_pending == 3
    assert after.oldest_pending_at_ms is not None


def test_no_row_number_is_used_twice(
    journal: Journal, tmp_path: Path, make_entry: MakeEntry, append: Append
) -> None:
    tokens = []
    with closing(JournalReader(tmp_path)) as reader:
        for number in range(6):
            if number % 2:
                append(journal, make_entry(1))
            else:
                journal.count(BOTS)
                asyncio.run(journal.flush_counts())
            block = reader.next_block(1000, 0)
            assert block
            tokens.append(block.token)
            assert len(reader.read(block)) == number % 2
            reader.checkpoint(block)

    assert len(set(tokens)) == 6


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    tokens = set()
    for _ in range(3):
        with closing(Journal.open(tmp_path, max_bytes=1 << 20)) as journal:
            journal.count(BOTS)
        with closing(JournalReader(tmp_path)) as reader:
            block = reader.next_block(1000, 0)
            assert block
            tokens.add(block.token)
            reader.checkpoint(block)

    assert len(tokens) == 3


def test_damaged_counts_are_named(journal: Journal, tmp_path: Path) -> None:
    journal.count(BOTS)
    asyncio.run(journal.flush_counts())
    with (
        closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection,
        connection,
    ):
        connection.execute("UPDATE chunks SET counts = x'ffff'")

    with closing(JournalReader(tmp_path)) as reader:
        block = reader.next_block(1000, 0)
        assert block
        with pytest.raises(JournalDamagedError, match=r"rows 1 to 1 .* are damaged"):
            reader.read_counts(block)


def test_counts_outlast_a_disk_that_refuses(
    tmp_path: Path,
    make_entry: MakeEntry,
    append: Append,
    *,
    limit_file_size: Callable[[int], None],
    wait_until: WaitUntil,
) -> None:
    with closing(Journal.open(tmp_path, max_bytes=1 << 26)) as journal:
        limit_file_size(1 << 20)
        journal.count(BOTS)
        with pytest.raises(Exception, match="cannot be written"):
            append(journal, make_entry(1, padding=2 << 20))
        limit_file_size(1 << 30)
        wait_until(lambda: journal.status().writable)
        append(journal, make_entry(1))

    assert read_sums(tmp_path) == {(7, "dropped", "bot"): 2}


class Clock:
    """Says what a test sets."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_buffer_is_due_when_its_oldest_count_has_waited() -> None:
    clock = Clock()
    buffer = CountBuffer(clock)
    assert not buffer.is_due()

    buffer.add(BOTS)
    clock.now_s += LONGEST_WAIT_S / 2
    buffer.add(BOTS)
    assert not buffer.is_due()
    clock.now_s += LONGEST_WAIT_S / 2
    assert buffer.is_due()

    assert buffer.take() == {(7, "dropped", "bot"): 4}
    assert not buffer.is_due()


def test_what_is_given_back_waits_anew_with_what_came_meanwhile() -> None:
    clock = Clock()
    buffer = CountBuffer(clock)
    buffer.add(BOTS)
    clock.now_s += LONGEST_WAIT_S
    taken = buffer.take()
    buffer.add(BOTS)

    buffer.give_back(taken)

    assert not buffer.is_due()
    clock.now_s += LONGEST_WAIT_S
    assert buffer.is_due()
    assert buffer.take() == {(7, "dropped", "bot"): 4}
