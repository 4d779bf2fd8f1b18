"""The writer's end of the journal: freezes blocks, reads them, lets them go.

Runs in another process than the journal's owner, on a connection of its own. A block is
a range of whole chunks. Once frozen it stays the same, with its token, over any crash,
until `checkpoint` has deleted it: whoever sends it twice sends the same rows under the
same token.
"""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from headwater_ingest.clock import Clock, start_clock
from headwater_ingest.errors import JournalDamagedError
from headwater_ingest.journal.accounts import enter, tally_chunks
from headwater_ingest.journal.connection import Connect, connect_sqlite
from headwater_ingest.journal.counts import Tally, decode_counts, tally
from headwater_ingest.journal.database import (
    FILE_NAME,
    explain,
    open_for_writer,
    transaction,
)
from headwater_ingest.journal.dead_letters import DeadLetter, bury, tally_sites
from headwater_ingest.journal.lock import WRITER_LOCK, FileLock
from headwater_ingest.journal.verdicts import Verdict, add_verdict, read_verdicts

MAX_BLOCK_BYTES: Final = 64 * 1024 * 1024
"""Bodies in one block, unless a single chunk is larger."""

_MINUTE_MS: Final = 60_000

_decode: Final = msgspec.msgpack.Decoder(list[bytes]).decode


@dataclass(frozen=True, slots=True)
class Block:
    """A frozen range of rows.

    Attributes:
        first_row: The first of them.
        last_row: The last of them, included.
        token: Names the block to ClickHouse, always in the same way.
    """

    first_row: int
    last_row: int
    token: str

    @property
    def row_count(self) -> int:
        """How many rows there are, counting one for a chunk without any."""
        return self.last_row - self.first_row + 1


@dataclass(frozen=True, slots=True)
class _Pending:
    """The range of chunks that are in no block."""

    first_row: int
    first_byte: int
    at_ms: int
    rows: int
    bytes: int


class JournalReader:
    """The only reader of a journal that freezes and deletes. For one thread."""

    def __init__(
        self,
        directory: Path,
        *,
        clock: Clock | None = None,
        connect: Connect = connect_sqlite,
    ) -> None:
        """Open the journal that the service has made.

        Args:
            directory: The data directory.
            clock: Milliseconds since 1970.
            connect: Opens its file.

        Raises:
            JournalLockedError: If another reader has it.
            JournalDamagedError: If the file is damaged, foreign or too new.
            JournalUnwritableError: If there is none, or it cannot be written.
        """
        self._path = directory / FILE_NAME
        self._clock = clock or start_clock()
        self._lock = FileLock(directory / WRITER_LOCK)
        try:
            self._connection = open_for_writer(directory, connect=connect)
        except BaseException:
            self._lock.close()
            raise

    def next_block(self, max_rows: int, max_age_ms: int) -> Block | None:
        """Return the block to send next, frozen on disk.

        A block that was frozen and not let go comes first. Otherwise one is frozen when
        there are rows enough, or the oldest is old enough.

        Args:
            max_rows: Rows in a block, unless its first chunk has more.
            max_age_ms: Age of the oldest row from which on fewer rows will do.

        Raises:
            JournalError: If the file cannot be read or written; nothing was frozen.
        """
        try:
            return self._find_frozen() or self._freeze(max_rows, max_age_ms)
        except sqlite3.Error as error:
            raise explain(error, self._path) from error

    def read(self, block: Block) -> list[bytes]:
        """Return the rows of a block, as they were encoded.

        Raises:
            JournalError: If the file cannot be read, or the rows make no sense.
        """
        try:
            bodies = self._connection.execute(
                "SELECT body FROM chunks WHERE first_row BETWEEN ? AND ? "
                "AND byte_count > 0 ORDER BY first_row",
                (block.first_row, block.last_row),
            ).fetchall()
            return [blob for (body,) in bodies for blob in _decode(body)]
        except sqlite3.Error as error:
            raise explain(error, self._path) from error
        except msgspec.MsgspecError as error:
            raise self._damaged(block, error) from error

    def read_counts(self, block: Block) -> dict[int, Tally]:
        """Return what became of events, by the minute in which it was taken.

        Returns:
            For the first second of a minute, since 1970, the sums of that minute.

        Raises:
            JournalError: If the file cannot be read, or the counts make no sense.
        """
        try:
            chunks = self._connection.execute(
                "SELECT at_ms, counts FROM chunks WHERE first_row BETWEEN ? AND ? "
                "AND length(counts) > 0 ORDER BY first_row",
                (block.first_row, block.last_row),
            ).fetchall()
            minutes: dict[int, Tally] = {}
            for at_ms, counts in chunks:
                minute = at_ms // _MINUTE_MS * 60
                sums = tally(decode_counts(counts))
                minutes.setdefault(minute, Counter()).update(sums)
        except sqlite3.Error as error:
            raise explain(error, self._path) from error
        except msgspec.MsgspecError as error:
            raise self._damaged(block, error) from error
        return minutes

    def read_verdicts(self) -> dict[str, Verdict]:
        """Return what became of the INSERTs of the block in hand that were refused.

        Raises:
            JournalError: If the file cannot be read.
        """
        try:
            return read_verdicts(self._connection)
        except sqlite3.Error as error:
            raise explain(error, self._path) from error

    def add_verdict(self, token: str, error: str | None) -> Verdict:
        """Put on disk that an INSERT is cut in two, or that its only row is dead.

        Args:
            token: The token of the INSERT, which is not sent again.
            error: Why the row is dead; None for a cut.

        Raises:
            JournalError: If the disk refuses; the INSERT is then sent again.
        """
        verdict = Verdict(error, self._clock())
        try:
            add_verdict(self._connection, token, verdict)
        except sqlite3.Error as cause:
            raise explain(cause, self._path) from cause
        return verdict

    def checkpoint(self, block: Block, dead: Sequence[DeadLetter] = ()) -> None:
        """Let a block go whose rows are in ClickHouse, or dead.

        Doing it twice does no harm.

        Args:
            block: The block.
            dead: Those of its rows that ClickHouse refuses.

        Raises:
            JournalError: If the disk refuses; the block is then sent once more.
        """
        rows = (block.first_row, block.last_row)
        try:
            # Nobody else deletes chunks, so they can be read before the lock is taken,
            # for which the commits of the service wait.
            events = tally_chunks(self._connection, rows, tally_sites(dead))
            with transaction(self._connection):
                self._connection.execute(
                    "UPDATE meta SET (next_row, next_byte) = "
                    "(SELECT first_row + row_count, first_byte + byte_count "
                    "FROM chunks WHERE first_row <= :last "
                    "ORDER BY first_row DESC LIMIT 1) WHERE next_row <= :last",
                    {"last": block.last_row},
                )
                enter(self._connection, events)
                self._connection.execute(
                    "DELETE FROM chunks WHERE first_row BETWEEN ? AND ?", rows
                )
                known = self._connection.execute(
                    "DELETE FROM blocks WHERE first_row = ?", rows[:1]
                )
                if known.rowcount:
                    bury(self._connection, dead)
        except sqlite3.Error as error:
            raise explain(error, self._path) from error

    def close(self) -> None:
        """Close the connection and let the next reader in."""
        self._connection.close()
        self._lock.close()

    def _damaged(self, block: Block, error: Exception) -> JournalDamagedError:
        return JournalDamagedError(
            f"rows {block.first_row} to {block.last_row} in {self._path} are damaged "
            f"({error}); nothing was changed: restore a backup"
        )

    def _find_frozen(self) -> Block | None:
        row = self._connection.execute(
            "SELECT first_row, last_row, token FROM blocks ORDER BY first_row LIMIT 1"
        ).fetchone()
        return row and Block(*row)

    def _freeze(self, max_rows: int, max_age_ms: int) -> Block | None:
        pending = self._read_pending()
        if pending is None or not self._is_due(pending, max_rows, max_age_ms):
            return None
        with transaction(self._connection):
            last_row = self._find_last_row(pending, max_rows)
            (uuid,) = self._connection.execute("SELECT uuid FROM meta").fetchone()
            block = Block(
                pending.first_row, last_row, f"{uuid}/{pending.first_row}-{last_row}"
            )
            self._connection.execute(
                "INSERT INTO blocks VALUES (?, ?, ?)",
                (block.first_row, block.last_row, block.token),
            )
        return block

    def _read_pending(self) -> _Pending | None:
        row = self._connection.execute(
            "SELECT a.first_row, a.first_byte, a.at_ms, "
            "b.first_row + b.row_count - a.first_row, "
            "b.first_byte + b.byte_count - a.first_byte FROM chunks a, chunks b "
            "WHERE a.first_row = (SELECT min(first_row) FROM chunks) "
            "AND b.first_row = (SELECT max(first_row) FROM chunks)"
        ).fetchone()
        return row and _Pending(*row)

    def _is_due(self, pending: _Pending, max_rows: int, max_age_ms: int) -> bool:
        # A row from the future was taken before the clock was set back: it is due too.
        is_young = 0 <= self._clock() - pending.at_ms < max_age_ms
        is_small = pending.rows < max_rows and pending.bytes < MAX_BLOCK_BYTES
        return not (is_young and is_small)

    def _find_last_row(self, pending: _Pending, max_rows: int) -> int:
        """Return the last row that fits; the first chunk always does."""
        row = self._connection.execute(
            "SELECT max(first_row + row_count) - 1 FROM chunks "
            "WHERE first_row < :end AND (first_row = :first OR "
            "(first_row + row_count <= :end AND first_byte + byte_count <= :end_byte))",
            {
                "first": pending.first_row,
                "end": pending.first_row + max_rows,
                "end_byte": pending.first_byte + MAX_BLOCK_BYTES,
            },
        ).fetchone()
        last_row: int = row[0]
        return last_row
