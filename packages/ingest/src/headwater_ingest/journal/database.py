"""The file of the journal: its schema, and how a connection to it is opened.

`journal.db` in the data directory is an SQLite database in WAL mode with pages of
16 KB, `application_id` "HWJ1" and the format in `user_version`. Every commit is synced
before it returns (`synchronous=FULL`). Two processes use it: the service appends, the
writer freezes blocks and deletes what is in ClickHouse.

    meta                       one row
        uuid                     random, new at every start of the service
        next_row, next_byte      the numbers go on here when `chunks` is empty
    chunks                     the rows, one chunk per group commit
        first_row   PK           rows are numbered from 1; no number is ever used twice
        row_count                a chunk of counts only takes one number that no row has
        first_byte, byte_count   position and length of the body in the stream of bodies
        at_ms                    when it was taken
        counts                   MessagePack: [[site, outcome, reason, events], ...], of
                                 the minute of `at_ms`; empty or NULL without any.
                                 What is there more than once is to be added up
        sites                    MessagePack: [[site, rows, bytes], ...], likewise; NULL
                                 in chunks of earlier formats
        body                     MessagePack: [blob, ...], each made by `encode_rows`;
                                 empty without rows. Last, for it may be long, and what
                                 comes after it is read by way of all its pages
    blocks                     what the writer has begun to send
        first_row   PK           of its first chunk
        last_row                 of its last chunk
        token                    `<uuid>/<first row>-<last row>`, the same until it is
                                 written, whatever happens
    accounts                   what has become of events; see `accounts.py`
    verdicts                   what has become of the INSERTs of the block in hand
        token       PK           of an INSERT that was refused
        error                    why its only row is dead; NULL: it was cut in two
        at_ms                    when
    dead_letters               rows that ClickHouse refuses; see `dead_letters.py`
    replays                    what a replay has begun to send; see there too
    seen                       the duplicate window, one row per group commit
        seq         PK
        at_ms                    when it was taken
        event_ids                16 bytes each
        batch_ids                16 bytes each
        answers                  MessagePack: [[ids digest, answer], ...], in the same
                                 order; answer is a `BatchResult` as JSON

Chunks are contiguous, so the first and the last one tell how much is pending. All
tables grow at the end and shrink at the start: which kind of ids clients send makes no
difference to the pages that a commit writes.

A copy of the file, or one from a backup, gives the numbers that follow to other rows
than the original does. Under one uuid both would make the same tokens, and ClickHouse
would drop what comes second. So each start takes a new uuid; blocks that were frozen
before keep their tokens, under which they hold the same rows everywhere.
"""

import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from headwater_ingest.errors import (
    JournalDamagedError,
    JournalError,
    JournalUnwritableError,
)
from headwater_ingest.journal.connection import Connect, Connection, connect_sqlite

FILE_NAME: Final = "journal.db"
FORMAT: Final = 3

_APPLICATION_ID: Final = int.from_bytes(b"HWJ1")
_PAGE_BYTES: Final = 16_384

# Pages of WAL from which on a commit also copies them into the database. The writer's
# process does it first, so that hardly anything is left for a commit that somebody
# waits for (a full copy of 62 MB takes 40 to 70 ms).
SERVICE_CHECKPOINT_PAGES: Final = 4000
WRITER_CHECKPOINT_PAGES: Final = 2000

_TABLES: Final = """
CREATE TABLE meta (uuid TEXT, next_row INTEGER, next_byte INTEGER);
CREATE TABLE chunks (
    first_row INTEGER PRIMARY KEY, row_count INTEGER,
    first_byte INTEGER, byte_count INTEGER, at_ms INTEGER, counts BLOB, sites BLOB,
    body BLOB
);
CREATE INDEX chunks_without_rows ON chunks (first_row) WHERE byte_count = 0;
CREATE TABLE blocks (first_row INTEGER PRIMARY KEY, last_row INTEGER, token TEXT);
CREATE TABLE seen (
    seq INTEGER PRIMARY KEY, at_ms INTEGER,
    event_ids BLOB, batch_ids BLOB, answers BLOB
);
"""
_DEAD_LETTER_TABLES: Final = """
CREATE TABLE verdicts (token TEXT PRIMARY KEY, error TEXT, at_ms INTEGER);
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT, site_id TEXT, event_id BLOB, name TEXT,
    distinct_id TEXT, error TEXT, at_ms INTEGER, row BLOB
);
CREATE TABLE replays (token TEXT PRIMARY KEY, dead_letters BLOB, rows BLOB);
"""
_ACCOUNT_TABLES: Final = """
CREATE TABLE accounts (
    site_id TEXT, account TEXT, reason TEXT, events INTEGER,
    PRIMARY KEY (site_id, account, reason)
) WITHOUT ROWID
"""

_UPGRADES: Final = {
    1: """
ALTER TABLE chunks ADD COLUMN counts BLOB;
CREATE INDEX chunks_without_rows ON chunks (first_row) WHERE byte_count = 0
""",
    2: "ALTER TABLE chunks ADD COLUMN sites BLOB;"
    + _DEAD_LETTER_TABLES
    + _ACCOUNT_TABLES,
}
"""What makes a file of each earlier format one of the next."""

# Our statements are right, so a plain error means that the tables are not.
_DAMAGED: Final = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def open_for_service(
    directory: Path, *, connect: Connect = connect_sqlite
) -> Connection:
    """Open the journal of a directory for appending; make it when there is none.

    Args:
        directory: Where it is.
        connect: Opens the file.

    Raises:
        JournalDamagedError: If the file is no journal that this version can read.
        JournalUnwritableError: If the file cannot be made or written.
    """
    path = directory / FILE_NAME
    _refuse_lost_head(path)
    is_new = not path.exists()
    connection = _open(path, connect, is_owner=True)
    if is_new:
        _sync_directory(directory)
    return connection


def open_for_writer(
    directory: Path, *, connect: Connect = connect_sqlite
) -> Connection:
    """Open the journal that the service has made.

    Args:
        directory: Where it is.
        connect: Opens the file.

    Raises:
        JournalDamagedError: If the file is no journal that this version can read.
        JournalUnwritableError: If there is none, or it cannot be written.
    """
    path = directory / FILE_NAME
    if not path.exists():
        raise JournalUnwritableError(f"there is no journal in {directory}")
    return _open(path, connect, is_owner=False)


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Commit what is done inside, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself after some errors of the disk.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def explain(error: sqlite3.Error, path: Path) -> JournalError:
    """Return the error that says what to do about an error of SQLite."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
        return JournalDamagedError(
            f"{path} is damaged or no journal ({error}); nothing was changed: put a "
            f"backup in its place, or move {path.name}* away to begin a new one and "
            "keep them, since they may hold events that are not in ClickHouse yet"
        )
    return JournalUnwritableError(
        f"{path} cannot be written ({error}): free space on its disk, or make it "
        "writable for this user"
    )


def _open(path: Path, connect: Connect, *, is_owner: bool) -> Connection:
    try:
        connection = connect(path)
    except sqlite3.Error as error:
        raise explain(error, path) from error
    try:
        _prepare(connection, path, is_owner=is_owner)
    except sqlite3.Error as error:
        connection.close()
        raise explain(error, path) from error
    except JournalError:
        connection.close()
        raise
    return connection


def _prepare(connection: Connection, path: Path, *, is_owner: bool) -> None:
    pages = SERVICE_CHECKPOINT_PAGES if is_owner else WRITER_CHECKPOINT_PAGES
    _check_format(connection, path)
    connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS keeps data in the drive's cache
    connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise JournalUnwritableError(
            f"the file system of {path} cannot hold a journal, which needs shared "
            "memory: set HEADWATER_DATA_DIR to a directory on a local disk"
        )
    with transaction(connection):
        _create_tables(connection)
        _upgrade_tables(connection)
        # Opening must find out that nothing can be written, not the first request.
        connection.execute("UPDATE meta SET next_row = next_row")
        if is_owner:
            connection.execute("UPDATE meta SET uuid = ?", (str(uuid.uuid4()),))


def _check_format(connection: Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and application != _APPLICATION_ID:
        raise JournalDamagedError(
            f"{path} belongs to another program; nothing was changed: move it away, "
            "or set HEADWATER_DATA_DIR to another directory"
        )
    if version > FORMAT:
        raise JournalDamagedError(
            f"{path} was made by a newer version (format {version}, this one knows "
            f"{FORMAT}); nothing was changed: start that version again"
        )


def _create_tables(connection: Connection) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        return
    for statement in (_TABLES + _DEAD_LETTER_TABLES + _ACCOUNT_TABLES).split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")
    connection.execute("INSERT INTO meta VALUES (?, 1, 0)", (str(uuid.uuid4()),))


def _upgrade_tables(connection: Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for earlier in range(version, FORMAT):
        for statement in _UPGRADES[earlier].split(";"):
            connection.execute(statement)
    if version < FORMAT:
        connection.execute(f"PRAGMA user_version = {FORMAT}")


def _refuse_lost_head(path: Path) -> None:
    """Refuse an empty file whose log holds rows: SQLite would delete the log."""
    log = path.with_name(f"{path.name}-wal")
    if _length(log) and not _length(path):
        raise JournalDamagedError(
            f"{path} is empty or gone, but {log.name} beside it is not; nothing "
            "was changed: put both files back from a backup, or move them away"
        )


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sync_directory(directory: Path) -> None:
    """Make the name of a new file durable; its content is SQLite's affair."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
