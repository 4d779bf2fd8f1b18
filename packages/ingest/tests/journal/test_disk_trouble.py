"""A disk that refuses: nothing acknowledged is lost, and the journal recovers."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from headwater_ingest.errors import JournalDamagedError, JournalUnwritableError
from headwater_ingest.journal import (
    Committed,
    Entry,
    Journal,
    Receipt,
    Repeated,
    StoredAnswer,
)
from headwater_ingest.journal import journal as journal_module
from headwater_ingest.journal.store import Store

MakeEntry = Callable[..., Entry]
Append = Callable[..., list[Receipt]]
Drain = Callable[[], list[UUID]]
WaitUntil = Callable[[Callable[[], bool]], None]


async def stored_answer(journal: Journal, entry: Entry) -> StoredAnswer | None:
    return await journal.stored_answer(entry.batch_id)


def test_a_disk_that_refuses_writes_refuses_entries_until_it_is_back(
    journal: Journal,
    make_entry: MakeEntry,
    append: Append,
    wait_until: WaitUntil,
    limit_file_size: Callable[[int], None],
) -> None:
    append(journal, make_entry(1))
    limit_file_size(512 * 1024)
    refused = make_entry(1, padding=1 << 20)

    with pytest.raises(JournalUnwritableError, match="free space"):
        append(journal, refused)

    assert not journal.status().writable
    assert not journal.seen_batch(refused.batch_id)
    with pytest.raises(JournalUnwritableError, match="free space"):
        append(journal, make_entry(1))

    limit_file_size(1 << 30)
    wait_until(lambda: journal.status().writable)
    assert append(journal, refused) == [Committed()]


def test_what_was_acknowledged_before_a_refusal_is_kept(
    journal: Journal,
    make_entry: MakeEntry,
    append: Append,
    drain: Drain,
    limit_file_size: Callable[[int], None],
) -> None:
    limit_file_size(2 * 1024 * 1024)
    acknowledged = []
    while True:
        event_id = uuid4()
        try:
            append(journal, make_entry([event_id], padding=100_000))
        except JournalUnwritableError:
            break
        acknowledged.append(event_id)
    limit_file_size(1 << 30)

    assert len(acknowledged) > 5
    assert drain() == acknowledged


def test_all_entries_of_a_refused_group_are_refused(
    journal: Journal, make_entry: MakeEntry, limit_file_size: Callable[[int], None]
) -> None:
    limit_file_size(512 * 1024)

    async def gather() -> list[Receipt | BaseException]:
        entries = [make_entry(1, padding=200_000) for _ in range(20)]
        return await asyncio.gather(
            *map(journal.append, entries), return_exceptions=True
        )

    results = asyncio.run(gather())

    assert any(isinstance(each, JournalUnwritableError) for each in results)
    assert all(isinstance(each, JournalUnwritableError | Committed) for each in results)
    stored = sum(each == Committed() for each in results)
    assert journal.status().rows_pending == stored


def test_a_full_database_refuses_and_recovers(
    tmp_path: Path, make_entry: MakeEntry, append: Append, wait_until: WaitUntil
) -> None:
    def set_pages(pages: int) -> None:
        def execute(store: Store) -> None:
            store._connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()

        async def on_thread() -> None:
            await journal._commits.look(execute)

        asyncio.run(on_thread())

    with closing(Journal.open(tmp_path, max_bytes=1 << 26)) as journal:
        set_pages(10)
        with pytest.raises(JournalUnwritableError, match="full"):
            append(journal, make_entry(1, padding=1 << 20))

        set_pages(1 << 30)
        wait_until(lambda: journal.status().writable)
        assert append(journal, make_entry(1, padding=1 << 20)) == [Committed()]


def test_a_refusal_does_not_keep_the_journal_from_closing(
    tmp_path: Path,
    make_entry: MakeEntry,
    append: Append,
    limit_file_size: Callable[[int], None],
) -> None:
    journal = Journal.open(tmp_path, max_bytes=1 << 26)
    append(journal, make_entry(1))
    limit_file_size(512 * 1024)
    with pytest.raises(JournalUnwritableError):
        append(journal, make_entry(1, padding=1 << 20))

    journal.close()

    limit_file_size(1 << 30)
    with closing(Journal.open(tmp_path, max_bytes=1 << 26)) as journal:
        assert journal.status().rows_pending == 1


def test_a_table_that_is_gone_refuses_entries_and_answers(
    tmp_path: Path,
    journal: Journal,
    make_entry: MakeEntry,
    append: Append,
    wait_until: WaitUntil,
) -> None:
    entry = make_entry(1)
    append(journal, entry)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        connection.execute("ALTER TABLE seen RENAME TO gone")

        with pytest.raises(JournalDamagedError):
            append(journal, entry)
        with pytest.raises(JournalDamagedError):
            asyncio.run(stored_answer(journal, entry))
        wait_until(lambda: not journal.status().writable)

        connection.execute("ALTER TABLE gone RENAME TO seen")
    wait_until(lambda: journal.status().writable)
    assert isinstance(append(journal, entry)[0], Repeated)


def test_a_backlog_that_cannot_be_read_is_noticed_without_any_entry(
    tmp_path: Path, journal: Journal, wait_until: WaitUntil
) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        connection.execute("ALTER TABLE chunks RENAME TO gone")
        wait_until(lambda: not journal.status().writable)
        connection.execute("ALTER TABLE gone RENAME TO chunks")
    wait_until(lambda: journal.status().writable)


def test_an_answer_that_is_gone_is_an_error_of_who_asks(
    tmp_path: Path, journal: Journal, make_entry: MakeEntry, append: Append
) -> None:
    entry = make_entry(1)
    append(journal, entry)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection, connection:
        connection.execute("DELETE FROM seen")

    with pytest.raises(TypeError):
        asyncio.run(stored_answer(journal, entry))

    assert append(journal, make_entry(1)) == [Committed()]


def test_closing_does_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_CLOSE_S", 0.01)
    journal = Journal.open(tmp_path, max_bytes=1 << 20)
    is_free = threading.Event()

    async def block() -> None:
        journal._commits.look(lambda _: is_free.wait(10))
        with pytest.raises(JournalUnwritableError, match="can be killed"):
            journal.close()

    asyncio.run(block())
    is_free.set()
    assert journal._commits.stop(10)
