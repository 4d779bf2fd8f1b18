"""What an operator does with a journal: takes its rows out, and its empty pages."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec

from headwater_ingest.errors import JournalDamagedError, JournalLockedError
from headwater_ingest.journal.connection import Connection
from headwater_ingest.journal.database import FILE_NAME, explain, open_for_writer
from headwater_ingest.journal.lock import SERVICE_LOCK, WRITER_LOCK, FileLock
from headwater_ingest.journal.peek import open_for_reading
from headwater_ingest.rows import decode_rows

READERS_MS: Final = 30_000

_decode: Final = msgspec.msgpack.Decoder(list[bytes]).decode


def export_rows(directory: Path) -> Iterator[dict[str, Any]]:
    """Yield every row that is pending, its columns by name, the oldest first.

    The journal stays as it is, and its service may run.

    Raises:
        JournalError: If the file cannot be read, or a row makes no sense.
    """
    path = directory / FILE_NAME
    with open_for_reading(path) as connection:
        chunks = connection.execute(
            "SELECT first_row, body FROM chunks WHERE byte_count > 0 ORDER BY first_row"
        )
        for first_row, body in chunks:
            try:
                yield from _decode_chunk(body)
            except msgspec.MsgspecError as error:
                raise JournalDamagedError(
                    f"the rows from {first_row} on in {path} are damaged ({error}); "
                    "nothing was changed: restore a backup"
                ) from error


def compact(directory: Path) -> tuple[int, int]:
    """Give the free pages of a journal back to the disk.

    Returns:
        Bytes of the file before and after.

    Raises:
        JournalLockedError: If its service, or its writer, runs, or somebody reads it.
        JournalError: If the file cannot be written; nothing was changed.
    """
    path = directory / FILE_NAME
    with (
        closing(FileLock(directory / SERVICE_LOCK)),
        closing(FileLock(directory / WRITER_LOCK)),
        closing(open_for_writer(directory)) as connection,
    ):
        try:
            # A checkpoint tells of readers in its result instead of failing, so only
            # SQLite's own wait is one for them.
            connection.execute(f"PRAGMA busy_timeout = {READERS_MS}")
            _empty_log(connection, path)
            before = path.stat().st_size
            connection.execute("VACUUM")
            _empty_log(connection, path)
        except sqlite3.Error as error:
            raise explain(error, path) from error
        return before, path.stat().st_size


def _empty_log(connection: Connection, path: Path) -> None:
    (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if is_busy:
        raise JournalLockedError(
            f"another program reads {path}: run the command again when it has ended"
        )


def _decode_chunk(body: bytes) -> Iterator[dict[str, Any]]:
    for blob in _decode(body):
        rows = decode_rows(blob)
        for index, event_id in enumerate(rows.event_id):
            varying = {name: values[index] for name, values in rows.varying.items()}
            yield {"event_id": UUID(bytes=event_id), **rows.constants, **varying}
