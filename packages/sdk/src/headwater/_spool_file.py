"""The file of a spool: a small SQLite database, opened for one transaction at a time.

::

    batches   number       order of coming, which is the order of going
              batch_id     unique, for ever
              destination  for which site; a digest, since write keys are secrets
              historical   as the envelope says it
              events       MessagePack list of the encoded events
              count        how many they are
              checksum     CRC-32 of `events`: SQLite does not look at what it stores
              owner        token of the process that has taken it, or null

Written with a rollback journal and `synchronous=EXTRA`: what is committed survives a
loss of power. Nothing is left open between transactions, so a fork copies nothing.
"""

import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from headwater._spool_port import SpooledBatch

_APPLICATION_ID: Final = 0x48574353
_VERSION: Final = 1
_BUSY_TIMEOUT_S: Final = 1.0
"""Short, since it may be waited for at the exit of a process."""
_PRIVATE: Final = 0o600

_SCHEMA: Final = """
CREATE TABLE batches (
    number INTEGER PRIMARY KEY,
    batch_id TEXT NOT NULL UNIQUE,
    destination TEXT NOT NULL,
    historical INTEGER NOT NULL,
    events BLOB NOT NULL,
    count INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    owner TEXT
)
"""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[bytes, ...]).decode


class ForeignFileError(Exception):
    """The file is a database, but no spool that this version can read."""


class CorruptFileError(Exception):
    """The file cannot be read as a database."""


class SpoolTransaction:
    """Reads and writes one file, all or nothing."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute

    def is_sound(self) -> bool:
        """Reads the whole file and tells whether all of it fits together."""
        (found,) = self._execute("PRAGMA integrity_check(1)").fetchone()
        return bool(found == "ok")

    def size(self) -> int:
        """Returns how many bytes the events in the file have."""
        (size,) = self._execute(
            "SELECT coalesce(sum(length(events)), 0) FROM batches"
        ).fetchone()
        return int(size)

    def count(self) -> tuple[int, int]:
        """Returns how many batches and events there are, those taken included."""
        batches, events = self._execute(
            "SELECT count(*), coalesce(sum(count), 0) FROM batches"
        ).fetchone()
        return int(batches), int(events)

    def give_back(self, batch_id: str) -> bool:
        """Frees a batch that is in the file, and tells whether it is."""
        freed = self._execute(
            "UPDATE batches SET owner = NULL WHERE batch_id = ?", (batch_id,)
        )
        return freed.rowcount > 0

    def add(self, batch: SpooledBatch, payload: bytes, destination: str) -> None:
        """Stores a batch behind all others."""
        self._execute(
            "INSERT INTO batches "
            "(batch_id, destination, historical, events, count, checksum) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (
                batch.batch_id,
                destination,
                batch.historical,
                payload,
                len(batch.events),
                zlib.crc32(payload),
            ),
        )

    def free_all_but(self, living: set[str]) -> None:
        """Frees what was taken by those who are dead."""
        owners = self._execute(
            "SELECT DISTINCT owner FROM batches WHERE owner IS NOT NULL"
        )
        for (owner,) in owners.fetchall():
            if owner not in living:
                self.free(owner)

    def free(self, owner: str) -> None:
        """Frees what one holder has taken."""
        self._execute("UPDATE batches SET owner = NULL WHERE owner = ?", (owner,))

    def claim(
        self, limit: int, owner: str, destination: str
    ) -> tuple[list[SpooledBatch], int]:
        """Takes the oldest free batches; those that cannot be read are removed.

        Returns:
            The batches, and how many events were in those removed.
        """
        rows = self._execute(
            "SELECT batch_id, historical, events, count, checksum FROM batches "
            "WHERE owner IS NULL AND destination = ? ORDER BY number LIMIT ?",
            (destination, limit),
        ).fetchall()
        batches: list[SpooledBatch] = []
        lost = 0
        for batch_id, historical, payload, count, checksum in rows:
            if zlib.crc32(payload) != checksum:
                lost += count
                self.remove(batch_id)
                continue
            self._execute(
                "UPDATE batches SET owner = ? WHERE batch_id = ?", (owner, batch_id)
            )
            batches.append(SpooledBatch(batch_id, _decode(payload), bool(historical)))
        return batches, lost

    def remove(self, batch_id: str) -> None:
        """Forgets a batch."""
        self._execute("DELETE FROM batches WHERE batch_id = ?", (batch_id,))


def encode_events(batch: SpooledBatch) -> bytes:
    """Returns the events of a batch as the file holds them."""
    return _encode(batch.events)


@contextmanager
def transaction(path: Path) -> Iterator[SpoolTransaction]:
    """Opens the file, makes it if need be, and commits what is done meanwhile.

    Raises:
        ForeignFileError: It is somebody else's database; it is left as it is.
        CorruptFileError: It cannot be read.
        sqlite3.Error: It cannot be written now.
        OSError: It cannot be made.
    """
    _make_private(path)
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
    try:
        connection.execute("PRAGMA auto_vacuum = FULL")
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute("BEGIN IMMEDIATE")
        _check(connection)
        yield SpoolTransaction(connection)
        connection.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        if _is_corrupt(error):
            raise CorruptFileError(str(error)) from error
        raise
    finally:
        # Without a commit this rolls back.
        connection.close()


def move_corrupt_aside(path: Path) -> bool:
    """Renames the file to `….corrupt`, unless another process has done so meanwhile.

    Raises:
        OSError: It cannot be renamed.
        sqlite3.Error: It cannot be read now, for another reason.
    """
    suspect = path.stat().st_ino
    try:
        with transaction(path) as file:
            if file.is_sound():
                return False
    except CorruptFileError:
        pass
    if path.stat().st_ino != suspect:
        return False
    path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
    path.replace(path.with_name(f"{path.name}.corrupt"))
    return True


def _make_private(path: Path) -> None:
    """Makes an empty file that nobody else can read: events tell about people."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, _PRIVATE))


def _check(connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if (application, version) == (_APPLICATION_ID, _VERSION):
        return
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables or application or version:
        raise ForeignFileError("it is a database, but no spool of this version")
    connection.execute(_SCHEMA)
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {_VERSION}")


def _is_corrupt(error: sqlite3.DatabaseError) -> bool:
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
