"""Journals of earlier formats go on where they were, and can do what new ones can."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from headwater_ingest.journal import Count, Entry, Journal, JournalReader, Repeated
from headwater_ingest.journal.database import FILE_NAME, FORMAT
from headwater_ingest.rows import decode_rows

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = Path(__file__).with_name("golden")
UUID_OF_FORMAT_1 = "9b507996-4885-43fc-8a84-5c39da368cc9"


@pytest.fixture
def format_1(tmp_path: Path) -> Path:
    """A data directory whose journal was made by the first version."""
    script = (GOLDEN / "format-1.sql").read_text()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.executescript(script)
    return tmp_path


def test_every_earlier_format_has_a_golden_journal() -> None:
    names = {each.name for each in GOLDEN.glob("format-*.sql")}

    assert names == {f"format-{number}.sql" for number in range(1, FORMAT)}


def test_rows_of_format_1_are_sent_under_the_tokens_they_had(format_1: Path) -> None:
    with closing(Journal.open(format_1, max_bytes=1 << 20)) as journal:
        uuid = journal.uuid

    blocks = []
    with closing(JournalReader(format_1)) as reader:
        while block := reader.next_block(1000, 0):
            sets = [decode_rows(blob) for blob in reader.read(block)]
            ids = [int.from_bytes(each) for rows in sets for each in rows.event_id]
            blocks.append((block.token, ids, reader.read_counts(block)))
            reader.checkpoint(block)

    assert blocks == [
        (f"{UUID_OF_FORMAT_1}/1-3", [1, 2, 3], {}),
        (f"{uuid}/4-5", [10, 11], {}),
    ]


def test_the_window_of_format_1_is_known(
    format_1: Path, make_entry: Callable[..., Entry]
) -> None:
    ids = [UUID(int=number) for number in (1, 2, 3)]
    entry = make_entry(ids, UUID(int=1001))

    with closing(Journal.open(format_1, max_bytes=1 << 20)) as journal:
        receipt = asyncio.run(journal.append(entry))
        status = journal.status()

    assert isinstance(receipt, Repeated)
    assert (status.rows_pending, status.window_events) == (5, 5)


def test_a_journal_of_format_1_takes_counts(format_1: Path) -> None:
    with closing(Journal.open(format_1, max_bytes=1 << 20)) as journal:
        journal.count(Count(7, "dropped", "bot", 2))

    found = []
    with closing(JournalReader(format_1)) as reader:
        while block := reader.next_block(1000, 0):
            found += [dict(sums) for sums in reader.read_counts(block).values()]
            reader.checkpoint(block)

    assert found == [{(7, "dropped", "bot"): 2}]
