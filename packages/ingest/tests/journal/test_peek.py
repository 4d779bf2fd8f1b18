import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from headwater_ingest.errors import JournalDamagedError
from headwater_ingest.journal import Entry, Journal
from headwater_ingest.journal.peek import JournalPeek, peek


def entry(number: int, rows: int) -> Entry:
    return Entry(
        site_id=1,
        batch_id=number.to_bytes(16),
        event_ids=b"".join((number * 1000 + row).to_bytes(16) for row in range(rows)),
        rows=b"rows",
        row_count=rows,
        answer=b"{}",
        ids_digest=b"",
    )


def test_a_directory_without_a_journal_holds_nothing(tmp_path: Path) -> None:
    assert peek(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_journal_is_seen_while_its_service_has_it_open(tmp_path: Path) -> None:
    async def append() -> JournalPeek | None:
        journal = Journal.open(tmp_path, max_bytes=10**6, clock=lambda: 1_000)
        try:
            empty = peek(tmp_path)
            assert empty
            assert (empty.rows_pending, empty.window_events) == (0, 0)
            assert (empty.oldest_pending_at_ms, empty.window_from_ms) == (None, None)
            assert (empty.uuid, empty.block) == (journal.uuid, None)
            await journal.append(entry(1, 3))
            await journal.append(entry(2, 4))
            return peek(tmp_path)
        finally:
            await asyncio.to_thread(journal.close)

    found = asyncio.run(append())

    assert found is not None
    assert (found.rows_pending, found.window_events) == (7, 7)
    assert (found.oldest_pending_at_ms, found.window_from_ms) == (1_000, 1_000)
    assert found.bytes_pending > 0
    assert found.file_bytes > found.free_bytes == 0
    assert found.accounts
    assert found.accounts.pending == {1: 7}


def test_a_journal_is_seen_when_no_service_runs(tmp_path: Path) -> None:
    async def append() -> None:
        journal = Journal.open(tmp_path, max_bytes=10**6)
        await journal.append(entry(1, 3))
        await asyncio.to_thread(journal.close)

    asyncio.run(append())

    found = peek(tmp_path)
    assert found is not None
    assert found.rows_pending == 3


def test_a_journal_of_an_earlier_format_has_no_accounts(tmp_path: Path) -> None:
    script = Path(__file__).with_name("golden") / "format-2.sql"
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        connection.executescript(script.read_text())

    found = peek(tmp_path)

    assert found is not None
    assert (found.rows_pending, found.accounts) == (5, None)
    assert found.block is not None


def test_a_file_that_is_no_journal_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"no database" * 100)

    with pytest.raises(JournalDamagedError):
        peek(tmp_path)


def test_a_look_at_a_journal_that_nobody_uses_leaves_nothing(tmp_path: Path) -> None:
    Journal.open(tmp_path, max_bytes=10**8).close()
    before = sorted(each.name for each in tmp_path.iterdir())

    assert peek(tmp_path) is not None

    assert sorted(each.name for each in tmp_path.iterdir()) == before
