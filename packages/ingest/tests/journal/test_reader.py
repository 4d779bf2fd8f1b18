"""The writer's end: blocks stay the same until they are let go."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from headwater_ingest.errors import (
    JournalDamagedError,
    JournalLockedError,
    JournalUnwritableError,
)
from headwater_ingest.journal import Block, Entry, Journal, JournalReader, Receipt
from headwater_ingest.journal import reader as reader_module
from headwater_ingest.journal.connection import Connection, connect_sqlite
from headwater_ingest.rows import decode_rows

MakeEntry = Callable[..., Entry]
Append = Callable[..., list[Receipt]]


def read_ids(reader: JournalReader, block: Block) -> list[UUID]:
    return [
        UUID(bytes=each)
        for blob in reader.read(block)
        for each in decode_rows(blob).event_id
    ]


def fill(journal: Journal, append: Append, entries: list[Entry]) -> None:
    """Append each entry in a commit of its own."""
    for entry in entries:
        append(journal, entry)


def test_an_empty_journal_has_no_block(tmp_path: Path, journal: Journal) -> None:
    with closing(JournalReader(tmp_path)) as reader:
        assert reader.next_block(1, 0) is None


def test_young_rows_wait_until_there_are_enough(
    tmp_path: Path, journal: Journal, make_entry: MakeEntry, append: Append
) -> None:
    with closing(JournalReader(tmp_path)) as reader:
        append(journal, make_entry(3))
        assert reader.next_block(5, 60_000) is None

        append(journal, make_entry(3))
        block = reader.next_block(5, 60_000)

    assert block is not None
    assert block.row_count == 3  # the second chunk would make six


def test_old_rows_wait_no_longer(
    tmp_path: Path, make_entry: MakeEntry, append: Append
) -> None:
    now = 10_000
    with closing(
        Journal.open(tmp_path, max_bytes=1 << 20, clock=lambda: 10_000)
    ) as journal:
        append(journal, make_entry(3))
        with closing(JournalReader(tmp_path, clock=lambda: now)) as reader:
            now = 10_999
            assert reader.next_block(5, 1000) is None
            now = 11_000
            assert reader.next_block(5, 1000) is not None


def test_rows_from_before_the_clock_was_set_back_wait_no_longer(
    tmp_path: Path, make_entry: MakeEntry, append: Append
) -> None:
    with closing(
        Journal.open(tmp_path, max_bytes=1 << 20, clock=lambda: 99_000)
    ) as journal:
        append(journal, make_entry(3))
        with closing(JournalReader(tmp_path, clock=lambda: 10_000)) as reader:
            assert reader.next_block(5, 1000) is not None


def test_blocks_are_whole_chunks_in_the_order_of_arrival(
    tmp_path: Path, journal: Journal, make_entry: MakeEntry, append: Append
) -> None:
    ids = [uuid4() for _ in range(10)]
    entries = [make_entry(ids[at : at + 2]) for at in range(0, 10, 2)]
    fill(journal, append, entries)
    ranges, read = [], []
    with closing(JournalReader(tmp_path)) as reader:
        while block := reader.next_block(5, 0):
            ranges.append((block.first_row, block.last_row))
            read += read_ids(reader, block)
            reader.checkpoint(block)

    assert ranges == [(1, 4), (5, 8), (9, 10)]
    assert read == ids


def test_a_chunk_larger_than_a_block_is_a_block(
    tmp_path: Path, journal: Journal, make_entry: MakeEntry, append: Append
) -> None:
    fill(journal, append, [make_entry(7), make_entry(1)])

    with closing(JournalReader(tmp_path)) as reader:
        block = reader.next_block(5, 60_000)

    assert block is not None
    assert (block.first_row, block.last_row) == (1, 7)


def test_a_block_is_bounded_by_bytes(
    tmp_path: Path,
    journal: Journal,
    make_entry: MakeEntry,
    append: Append,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader_module, "MAX_BLOCK_BYTES", 2500)
    fill(journal, append, [make_entry(1, padding=1000) for _ in range(4)])

    with closing(JournalReader(tmp_path)) as reader:
        block = reader.next_block(1000, 60_000)

    assert block is not None
    assert block.row_count == 2


def test_a_frozen_block_comes_again_unchanged(
    tmp_path: Path, journal: Journal, make_entry: MakeEntry, append: Append
) -> None:
    fill(journal, append, [make_entry(2), make_entry(2)])
    with closing(JournalReader(tmp_path)) as reader:
        frozen = reader.next_block(2, 0)
        assert frozen is not None
        rows = reader.read(frozen)

    append(journal, make_entry(2))
    with closing(JournalReader(tmp_path)) as reader:
        again = reader.next_block(1000, 0)
        assert again == frozen
        assert reader.read(frozen) == rows
        reader.checkpoint(frozen)
        rest = reader.next_block(1000, 0)

    assert rest is not None
    assert (rest.first_row, rest.last_row) == (3, 6)


def test_the_token_names_journal_and_rows(
    tmp_path: Path, journal: Journal, make_entry: MakeEntry, append: Append
) -> None:
    append(journal, make_entry(3))

    with closing(JournalReader(tmp_path)) as reader:
        block = reader.next_block(1, 0)

    assert block == Block(1, 3, f"{journal.uuid}/1-3")


def test_a_checkpoint_keeps_commits_waiting_for_no_reading(
    tmp_path: Path, journal: Journal, make_entry: MakeEntry, append: Append
) -> None:
    statements: list[str] = []

    def connect(path: Path) -> Connection:
        connection = connect_sqlite(path)
        assert isinstance(connection, sqlite3.Connection)
        connection.set_trace_callback(statements.append)
        return connection

    append(journal, make_entry(3))
    with closing(JournalReader(tmp_path, connect=connect)) as reader:
        block = reader.next_block(1, 0)
        assert block is not None
        statements.clear()
        reader.checkpoint(block)

    begin = statements.index("BEGIN IMMEDIATE")
    assert any("SELECT counts" in each for each in statements[:begin])
    assert not any("SELECT counts" in each for each in statements[begin:])


def test_a_checkpoint_may_be_repeated(
    tmp_path: Path, make_entry: MakeEntry, append: Append
) -> None:
    with closing(Journal.open(tmp_path, max_bytes=1 << 20)) as journal:
        fill(journal, append, [make_entry(3), make_entry(3)])
    with closing(JournalReader(tmp_path)) as reader:
        first = reader.next_block(3, 0)
        assert first is not None
        reader.checkpoint(first)
        reader.checkpoint(first)
        second = reader.next_block(3, 0)
        assert second is not None
        reader.checkpoint(second)
        reader.checkpoint(first)

    with closing(Journal.open(tmp_path, max_bytes=1 << 20)) as journal:
        assert journal.status().rows_pending == 0
        append(journal, make_entry(1))
        with closing(JournalReader(tmp_path)) as reader:
            third = reader.next_block(3, 0)
    assert third is not None
    assert third.first_row == 7


def test_only_one_reader_at_a_time(tmp_path: Path, journal: Journal) -> None:
    with (
        closing(JournalReader(tmp_path)),
        pytest.raises(JournalLockedError, match="in use by process"),
    ):
        JournalReader(tmp_path)

    JournalReader(tmp_path).close()


def test_without_a_journal_there_is_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(JournalUnwritableError, match="no journal"):
        JournalReader(tmp_path)

    assert not (tmp_path / "journal.db").exists()


def test_damaged_rows_are_reported_and_kept(
    tmp_path: Path, make_entry: MakeEntry, append: Append
) -> None:
    with closing(Journal.open(tmp_path, max_bytes=1 << 20)) as journal:
        append(journal, make_entry(3))
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection, connection:
        connection.execute("UPDATE chunks SET body = x'c1'")

    with closing(JournalReader(tmp_path)) as reader:
        block = reader.next_block(1, 0)
        assert block is not None
        with pytest.raises(JournalDamagedError, match="restore a backup"):
            reader.read(block)
        assert reader.next_block(1, 0) == block


def test_errors_of_the_disk_name_the_file(
    tmp_path: Path, journal: Journal, make_entry: MakeEntry, append: Append
) -> None:
    append(journal, make_entry(3))
    with closing(JournalReader(tmp_path)) as reader:
        reader._connection.execute("PRAGMA query_only = 1")

        with pytest.raises(JournalUnwritableError, match=r"journal\.db"):
            reader.next_block(1, 0)

        reader._connection.execute("PRAGMA query_only = 0")
        block = reader.next_block(1, 0)
        assert block is not None
        reader._connection.execute("PRAGMA query_only = 1")
        with pytest.raises(JournalUnwritableError, match=r"journal\.db"):
            reader.checkpoint(block)
        reader._connection.execute("PRAGMA query_only = 0")
        assert reader.next_block(1, 0) == block
