"""A look at a journal from outside: reads only, needs no lock, disturbs nobody."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from headwater_ingest.journal.database import FILE_NAME, explain
from headwater_ingest.journal.entry import ID_BYTES

_WAIT_S = 2.0

_PENDING = """
    SELECT coalesce(sum(row_count), 0), coalesce(sum(byte_count), 0), min(at_ms)
    FROM chunks WHERE byte_count > 0
"""
_WINDOW = "SELECT coalesce(sum(length(event_ids)), 0), min(at_ms) FROM seen"


@dataclass(frozen=True, slots=True)
class JournalPeek:
    """What a journal holds.

    Attributes:
        rows_pending: Rows that are not in ClickHouse yet.
        bytes_pending: Bytes that these rows take.
        oldest_pending_at_ms: When the oldest of them was taken; None without any.
        window_events: Event ids in the duplicate window.
        window_from_ms: Since when there are any; None while it is empty.
    """

    rows_pending: int
    bytes_pending: int
    oldest_pending_at_ms: int | None
    window_events: int
    window_from_ms: int | None


def peek(directory: Path) -> JournalPeek | None:
    """Return what the journal of a directory holds, or None when there is none.

    Raises:
        JournalError: If its file cannot be read.
    """
    path = directory / FILE_NAME
    if not path.exists():
        return None
    try:
        with closing(_open(path)) as connection:
            rows, size, oldest_at_ms = connection.execute(_PENDING).fetchone()
            id_bytes, from_ms = connection.execute(_WINDOW).fetchone()
    except sqlite3.Error as error:
        raise explain(error, path) from error
    return JournalPeek(rows, size, oldest_at_ms, id_bytes // ID_BYTES, from_ms)


def _open(path: Path) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=_WAIT_S)
