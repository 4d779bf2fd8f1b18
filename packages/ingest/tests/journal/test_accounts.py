"""The accounts of a journal: kept in its transactions, and closed at any moment."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from msgspec.structs import replace

from headwater_ingest.journal import (
    Count,
    DeadLetter,
    Entry,
    Journal,
    JournalReader,
    Receipt,
)
from headwater_ingest.journal.accounts import (
    Accounts,
    Fate,
    decode_sites,
    enter,
    move,
    read_accounts,
)
from headwater_ingest.journal.database import open_for_writer, transaction
from headwater_ingest.journal.peek import peek

MakeEntry = Callable[..., Entry]
Append = Callable[..., list[Receipt]]
WaitUntil = Callable[[Callable[[], bool]], None]

BIG = 2**64 - 1  # SQLite's numbers end at 2^63 - 1


def accepted(entry: Entry, site_id: int = 7) -> Entry:
    counts = (Count(site_id, "accepted", "", entry.row_count),)
    return replace(entry, site_id=site_id, counts=counts)


def read(directory: Path) -> Accounts:
    found = peek(directory)
    assert found
    assert found.accounts
    return found.accounts


def make_dead(site_id: int) -> DeadLetter:
    return DeadLetter(
        site_id=site_id,
        event_id=UUID(int=1),
        name="bad",
        distinct_id="",
        error="no",
        at_ms=0,
        row=b"",
    )


def test_rows_are_pending_then_written_or_dead(
    tmp_path: Path, journal: Journal, make_entry: MakeEntry, append: Append
) -> None:
    append(journal, accepted(make_entry(3)), accepted(make_entry(2), BIG))
    append(journal, accepted(make_entry(4)))
    journal.count(Count(7, "dropped", "bot", 5))
    journal.count(Count(0, "dropped", "unknown_site", 1))
    asyncio.run(flush(journal))

    before = read(tmp_path)
    with closing(JournalReader(tmp_path)) as reader:
        block = reader.next_block(5, 0)
        assert block
        reader.checkpoint(block, [make_dead(BIG)])
        between = read(tmp_path)
        reader.checkpoint(block, [make_dead(BIG)])
        assert read(tmp_path) == between, "a checkpoint counts once"
        while rest := reader.next_block(100, 0):
            reader.checkpoint(rest)
    after = read(tmp_path)

    assert before.pending == {7: 7, BIG: 2}
    assert between.pending == {7: 4}
    assert not +after.pending
    for each in (before, between, after):
        assert each.imbalances() == {}
        assert [each.received(site) for site in (0, 7, BIG)] == [1, 12, 2]
    assert after.total(7, Fate.WRITTEN) == 7
    assert after.total(BIG, Fate.WRITTEN) == after.total(BIG, Fate.DEAD_LETTERED) == 1


async def flush(journal: Journal) -> None:
    await journal.flush_counts()


def test_the_service_tells_the_same_without_asking_the_disk(
    tmp_path: Path,
    make_entry: MakeEntry,
    append: Append,
    wait_until: WaitUntil,
) -> None:
    with closing(Journal.open(tmp_path, max_bytes=1 << 20)) as journal:
        append(journal, accepted(make_entry(3)), accepted(make_entry(2), 8))
        assert journal.accounts() == read(tmp_path)
        with closing(JournalReader(tmp_path)) as reader:
            block = reader.next_block(1000, 0)
            assert block
            reader.checkpoint(block)
        append(journal, accepted(make_entry(1)))
        wait_until(lambda: journal.accounts().pending[8] == 0)
        told = journal.accounts()

        assert told.events == read(tmp_path).events
        assert +told.pending == read(tmp_path).pending == {7: 1}
    with closing(Journal.open(tmp_path, max_bytes=1 << 20)) as journal:
        assert journal.accounts() == told


def test_an_account_that_does_not_close_is_named(
    tmp_path: Path, journal: Journal, make_entry: MakeEntry, append: Append
) -> None:
    append(journal, accepted(make_entry(3)), accepted(make_entry(2), 8))
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        with connection:
            enter(connection, Counter({(8, Fate.WRITTEN.value, ""): 2}))

        assert read_accounts(connection).imbalances() == {8: -2}


def test_events_are_moved_between_accounts(tmp_path: Path, journal: Journal) -> None:
    with closing(open_for_writer(tmp_path)) as connection:
        with transaction(connection):
            enter(connection, Counter({(7, Fate.DEAD_LETTERED.value, ""): 5}))
            move(connection, Fate.DEAD_LETTERED, Fate.WRITTEN, {7: 3})
        with transaction(connection):
            move(connection, Fate.DEAD_LETTERED, Fate.DISCARDED, {7: 2})
        found = read_accounts(connection)

    assert found.total(7, Fate.WRITTEN) == 3
    assert found.total(7, Fate.DISCARDED) == 2
    assert found.total(7, Fate.DEAD_LETTERED) == 0


@pytest.mark.parametrize("number", [1, 2])
def test_rows_of_earlier_formats_are_in_no_account(tmp_path: Path, number: int) -> None:
    script = Path(__file__).with_name("golden") / f"format-{number}.sql"
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        connection.executescript(script.read_text())
    Journal.open(tmp_path, max_bytes=1 << 20).close()

    with closing(JournalReader(tmp_path)) as reader:
        while block := reader.next_block(1000, 0):
            reader.checkpoint(block)

    found = read(tmp_path)
    assert (found.sites, found.imbalances()) == ([], {})
    assert decode_sites(None) == []
