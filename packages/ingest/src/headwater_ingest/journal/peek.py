"""A look at a journal from outside: reads only, leaves nothing, needs no lock."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from headwater_ingest.journal.database import FILE_NAME, explain
from headwater_ingest.journal.entry import ID_BYTES, StoredAnswer, split_ids
from headwater_ingest.journal.store import decode_answers

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


def peek_events(directory: Path, ids: Collection[bytes]) -> set[bytes]:
    """Return those of some events that the duplicate window knows.

    Raises:
        JournalError: If the journal's file cannot be read.
    """
    wanted, found = set(ids), set[bytes]()
    for (taken,) in _read_seen(directory, "event_ids"):
        found |= wanted.intersection(split_ids(taken))
    return found


def peek_batch(directory: Path, batch_id: bytes) -> StoredAnswer | None:
    """Return what is stored for a batch, or None when it was not taken lately.

    Raises:
        JournalError: If the journal's file cannot be read.
    """
    found = None
    for taken, answers in _read_seen(directory, "batch_ids, answers"):
        if batch_id in (ids := split_ids(taken)):
            found = StoredAnswer(*decode_answers(answers)[ids.index(batch_id)])
    return found


def _read_seen(directory: Path, columns: str) -> Iterator[tuple[bytes, ...]]:
    path = directory / FILE_NAME
    if not path.exists():
        return
    query = f"SELECT {columns} FROM seen ORDER BY seq"  # noqa: S608 - our own words
    try:
        with closing(_open(path)) as connection:
            yield from connection.execute(query)
    except sqlite3.Error as error:
        raise explain(error, path) from error


def _open(path: Path) -> sqlite3.Connection:
    # Without a log nobody uses the file, and nothing needs to be written beside it: the
    # files that SQLite would make there could keep the service from its own journal.
    has_log = path.with_name(f"{path.name}-wal").exists()
    how = "mode=ro" if has_log else "immutable=1"
    uri = f"{path.resolve().as_uri()}?{how}"
    return sqlite3.connect(uri, uri=True, timeout=_WAIT_S)
