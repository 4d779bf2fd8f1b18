"""A look at a journal from outside: reads only, leaves nothing, needs no lock."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from headwater_ingest.journal.accounts import Accounts, read_accounts
from headwater_ingest.journal.database import FILE_NAME, FORMAT, explain
from headwater_ingest.journal.entry import ID_BYTES, StoredAnswer, split_ids
from headwater_ingest.journal.store import decode_answers

_WAIT_S = 2.0

_PENDING = """
    SELECT coalesce(sum(row_count), 0), coalesce(sum(byte_count), 0), min(at_ms)
    FROM chunks WHERE byte_count > 0
"""
_WINDOW = "SELECT coalesce(sum(length(event_ids)), 0), min(at_ms) FROM seen"
_FILE = """
    SELECT uuid, (SELECT token FROM blocks ORDER BY first_row LIMIT 1),
        page_count * page_size, freelist_count * page_size
    FROM meta, pragma_page_count, pragma_freelist_count, pragma_page_size
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalPeek:
    """What a journal holds.

    Attributes:
        rows_pending: Rows that are not in ClickHouse yet.
        bytes_pending: Bytes that these rows take.
        oldest_pending_at_ms: When the oldest of them was taken; None without any.
        window_events: Event ids in the duplicate window.
        window_from_ms: Since when there are any; None while it is empty.
        accounts: What has become of events; None before the service has upgraded a
            file of an earlier format.
        uuid: What tokens of new blocks begin with.
        block: Token of the block in hand; None without any.
        file_bytes: Length of the database, without the log beside it.
        free_bytes: What of it is free, and is used again.
    """

    rows_pending: int
    bytes_pending: int
    oldest_pending_at_ms: int | None
    window_events: int
    window_from_ms: int | None
    accounts: Accounts | None
    uuid: str
    block: str | None
    file_bytes: int
    free_bytes: int


def peek(directory: Path) -> JournalPeek | None:
    """Return what the journal of a directory holds, or None when there is none.

    Raises:
        JournalError: If its file cannot be read.
    """
    path = directory / FILE_NAME
    if not path.exists():
        return None
    with open_for_reading(path) as connection:
        connection.execute("BEGIN")  # all of it at one moment
        rows, size, oldest_at_ms = connection.execute(_PENDING).fetchone()
        id_bytes, from_ms = connection.execute(_WINDOW).fetchone()
        uuid, block, file_bytes, free_bytes = connection.execute(_FILE).fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        accounts = read_accounts(connection) if version == FORMAT else None
    return JournalPeek(
        rows_pending=rows,
        bytes_pending=size,
        oldest_pending_at_ms=oldest_at_ms,
        window_events=id_bytes // ID_BYTES,
        window_from_ms=from_ms,
        accounts=accounts,
        uuid=uuid,
        block=block,
        file_bytes=file_bytes,
        free_bytes=free_bytes,
    )


@contextmanager
def open_for_reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file of a journal, which stays as it is.

    Raises:
        JournalError: If it cannot be read, also inside.
    """
    # Without a log nobody uses the file, and nothing needs to be written beside it: the
    # files that SQLite would make there could keep the service from its own journal.
    has_log = path.with_name(f"{path.name}-wal").exists()
    how = "mode=ro" if has_log else "immutable=1"
    uri = f"{path.resolve().as_uri()}?{how}"
    try:
        with closing(
            sqlite3.connect(uri, uri=True, timeout=_WAIT_S, isolation_level=None)
        ) as connection:
            yield connection
    except sqlite3.Error as error:
        raise explain(error, path) from error


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
    with open_for_reading(path) as connection:
        yield from connection.execute(query)
