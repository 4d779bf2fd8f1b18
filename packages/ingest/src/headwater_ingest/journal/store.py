"""What the commit thread does with the file of the journal.

Every method may raise `sqlite3.Error`; then nothing of the call has been done, as far
as this process can see.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from headwater_ingest.journal.database import transaction
from headwater_ingest.journal.entry import StoredAnswer, split_ids
from headwater_ingest.journal.group import Group
from headwater_ingest.journal.window import DuplicateWindow

_FORGET_AT_ONCE: Final = 256  # rows of `seen` deleted by one commit
_PROBE_BYTES: Final = 1024 * 1024

decode_answers: Final = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]]).decode
"""Decodes the column `answers` of the table `seen`."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is on disk and not yet in ClickHouse.

    Attributes:
        rows: Rows.
        bytes: Bytes that they take.
        oldest_at_ms: When the oldest of them was taken; None without any.
    """

    rows: int
    bytes: int
    oldest_at_ms: int | None


class Store:
    """The tables `chunks` and `seen`, and the window that indexes the latter.

    Used by one thread at a time; after the start that is the commit thread.

    Attributes:
        window: What the table `seen` holds.
    """

    def __init__(self, connection: sqlite3.Connection, window: DuplicateWindow) -> None:
        self._connection = connection
        self.window = window
        self._next_row, self._next_byte = self._read_end()
        self._oldest_seq, self._next_seq = self._read_seqs()
        self._load_window()

    def read_uuid(self) -> str:
        """Return the id of the file."""
        uuid: str = self._connection.execute("SELECT uuid FROM meta").fetchone()[0]
        return uuid

    def read_answer(self, batch_id: bytes) -> StoredAnswer | None:
        """Return what is stored for a batch, or None when it was never taken."""
        seq = self.window.find_batch(batch_id)
        if seq is None:
            return None
        batch_ids, answers = self._connection.execute(
            "SELECT batch_ids, answers FROM seen WHERE seq = ?", (seq,)
        ).fetchone()
        index = split_ids(batch_ids).index(batch_id)
        return StoredAnswer(*decode_answers(answers)[index])

    def read_backlog(self) -> Backlog:
        """Return how much is pending. Two steps into the index, whatever it is."""
        first = self._connection.execute(
            "SELECT first_row, first_byte, at_ms, "
            "(SELECT count(*) FROM chunks WHERE byte_count = 0) "
            "FROM chunks ORDER BY first_row LIMIT 1"
        ).fetchone()
        if first is None:
            return Backlog(0, 0, None)
        row, byte, at_ms, without_rows = first
        rows = self._next_row - row - without_rows
        return Backlog(rows, self._next_byte - byte, at_ms if rows else None)

    def write(self, group: Group, at_ms: int) -> None:
        """Write a group and sync it, then let the window know."""
        body, answers = group.encode_body(), group.encode_answers()
        numbers = 0
        with transaction(self._connection):
            if body or group.counts:
                numbers = group.row_count or 1
                self._insert_chunk(group, at_ms, body)
            self._insert_seen(group, at_ms, answers)
            forgotten = self._forget()
        self._next_row += numbers
        self._next_byte += len(body)
        self._oldest_seq = forgotten
        if group.answers:
            self._remember(group, at_ms, answer_bytes=len(answers))

    def probe(self) -> None:
        """Write something to the disk and sync it, to see whether it can be done."""
        with transaction(self._connection):
            self._connection.execute("CREATE TABLE IF NOT EXISTS probe (body BLOB)")
            self._connection.execute(
                "INSERT INTO probe VALUES (zeroblob(?))", (_PROBE_BYTES,)
            )
        with transaction(self._connection):
            self._connection.execute("DROP TABLE probe")

    def close(self) -> None:
        """Copy the log into the database and close it."""
        with contextlib.suppress(sqlite3.Error):  # the next start does it
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._connection.close()

    def _remember(self, group: Group, at_ms: int, *, answer_bytes: int) -> None:
        self.window.add(
            self._next_seq,
            at_ms,
            event_ids=group.event_ids,
            batch_ids=group.answers,
            answer_bytes=answer_bytes,
        )
        self._next_seq += 1

    def _insert_chunk(self, group: Group, at_ms: int, body: bytes) -> None:
        self._connection.execute(
            "INSERT INTO chunks (first_row, row_count, first_byte, byte_count, at_ms, "
            "counts, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                self._next_row,
                group.row_count or 1,
                self._next_byte,
                len(body),
                at_ms,
                group.encode_counts(),
                body,
            ),
        )

    def _insert_seen(self, group: Group, at_ms: int, answers: bytes) -> None:
        if group.answers:
            event_ids, batch_ids = b"".join(group.event_ids), b"".join(group.answers)
            self._connection.execute(
                "INSERT INTO seen VALUES (?, ?, ?, ?, ?)",
                (self._next_seq, at_ms, event_ids, batch_ids, answers),
            )

    def _forget(self) -> int:
        """Delete some rows that the window has dropped; return the first that stays."""
        end = min(self.window.first_seq, self._oldest_seq + _FORGET_AT_ONCE)
        if end <= self._oldest_seq:
            return self._oldest_seq
        self._connection.execute("DELETE FROM seen WHERE seq < ?", (end,))
        return end

    def _read_end(self) -> tuple[int, int]:
        # One statement, so one snapshot: a writer may be deleting at this moment.
        end: tuple[int, int] = self._connection.execute(
            "SELECT coalesce(first_row + row_count, next_row), "
            "coalesce(first_byte + byte_count, next_byte) FROM meta LEFT JOIN chunks "
            "ON first_row = (SELECT max(first_row) FROM chunks)"
        ).fetchone()
        return end

    def _read_seqs(self) -> tuple[int, int]:
        seqs: tuple[int, int] = self._connection.execute(
            "SELECT coalesce((SELECT min(seq) FROM seen), 1), "
            "coalesce((SELECT max(seq) FROM seen), 0) + 1"
        ).fetchone()
        return seqs

    def _load_window(self) -> None:
        rows: Iterator[tuple[int, int, bytes, bytes, int]] = self._connection.execute(
            "SELECT seq, at_ms, event_ids, batch_ids, length(answers) "
            "FROM seen ORDER BY seq"
        )
        for seq, at_ms, event_ids, batch_ids, answer_bytes in rows:
            self.window.add(
                seq,
                at_ms,
                event_ids=split_ids(event_ids),
                batch_ids=split_ids(batch_ids),
                answer_bytes=answer_bytes,
            )
