"""What the commit thread does with the file of the journal.

Every method may raise `sqlite3.Error`; then nothing of the call has been done, as far
as this process can see.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Final

import msgspec

from headwater_ingest.journal.accounts import (
    Fate,
    read_accounts,
    read_fates,
)
from headwater_ingest.journal.connection import Connection
from headwater_ingest.journal.counts import Tally
from headwater_ingest.journal.database import transaction
from headwater_ingest.journal.entry import StoredAnswer, split_ids
from headwater_ingest.journal.group import Group
from headwater_ingest.journal.outcomes import Outcomes
from headwater_ingest.journal.shares import Shares
from headwater_ingest.journal.window import DuplicateWindow, SeenRow

# Rows of `seen` that one commit may delete: twice what it can add, so that a window
# that is too large shrinks, and no commit takes long.
_FORGET_IDS: Final = 20_000
_OLDEST_ROWS: Final = 16  # read ahead
_PROBE_BYTES: Final = 1024 * 1024

# A group is one INSERT, which is a transaction by itself. Each step of each statement
# lets the GIL go, and beside a busy loop it takes half a millisecond to have it back.
_MAKE_GROUPS: Final = (
    """
CREATE TEMP VIEW groups AS SELECT
    first_row, row_count, first_byte, byte_count, chunks.at_ms, counts, sites, body,
    seq, event_ids, batch_ids, answers, 0 AS expired
    FROM chunks, seen
""",
    """
CREATE TEMP TRIGGER insert_group INSTEAD OF INSERT ON groups BEGIN
    INSERT INTO chunks
        (first_row, row_count, first_byte, byte_count, at_ms, counts, sites, body)
        SELECT NEW.first_row, NEW.row_count, NEW.first_byte, NEW.byte_count,
            NEW.at_ms, NEW.counts, NEW.sites, NEW.body
        WHERE NEW.row_count;
    INSERT INTO seen
        SELECT NEW.seq, NEW.at_ms, NEW.event_ids, NEW.batch_ids, NEW.answers
        WHERE NEW.seq;
    DELETE FROM seen WHERE seq <= NEW.expired;
END
""",
)
_INSERT_GROUP: Final = (
    "INSERT INTO groups VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_NO_BATCHES: Final = (None,) * 4

_SEEN: Final = "SELECT seq, at_ms, event_ids, batch_ids, length(answers) FROM seen "

decode_answers: Final = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]]).decode
"""Decodes the column `answers` of the table `seen`."""


class Backlog(msgspec.Struct, frozen=True):
    """What is on disk and not yet in ClickHouse.

    Attributes:
        rows: Rows.
        bytes: Bytes that they take.
        oldest_at_ms: When the oldest of them was taken; None without any.
    """

    rows: int
    bytes: int
    oldest_at_ms: int | None

    def grow(self, *, rows: int, size: int, at_ms: int) -> "Backlog":
        """Return what it is with some more rows, if any, of so many bytes."""
        oldest_at_ms = at_ms if rows and not self.rows else self.oldest_at_ms
        return Backlog(self.rows + rows, self.bytes + size, oldest_at_ms)


class Store:
    """The tables `chunks` and `seen`, and what is kept in memory of them.

    Used by one thread at a time; after the start that is the commit thread.

    Attributes:
        window: What the table `seen` holds.
        shares: How much of what is pending belongs to which site.
        outcomes: What has become of events, all that is accounted for.
        backlog: What was pending when it was read, and what was written since.
    """

    def __init__(self, connection: Connection, window: DuplicateWindow) -> None:
        self._connection = connection
        for statement in _MAKE_GROUPS:
            connection.execute(statement)
        self.window = window
        self.shares = Shares()
        self._next_row, self._next_byte = self._read_end()
        self._next_seq = 1
        self._oldest: list[SeenRow] = []  # of `seen`, read ahead
        self._load_window()
        self._load_shares()
        self.backlog = self.read_backlog()
        self.outcomes = self._load_outcomes()

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
        """See how much is pending. Two steps into the index, whatever it is."""
        self.backlog = self._read_backlog()
        return self.backlog

    def read_fates(self) -> Tally:
        """Return what has become of rows that are not pending any more."""
        return read_fates(self._connection)

    def write(self, group: Group, at_ms: int) -> None:
        """Write a group and sync it, then let what is in memory know."""
        body, answers = group.encode_body(), group.encode_answers()
        counts, sites = group.encode_counts(), group.encode_sites()
        numbers = group.row_count or int(bool(group.counts))
        seen = self._make_seen(group, at_ms, answers) if group.answers else None
        expired = self._select_expired(seen) if seen else []
        from_ms = self._find_start(seen, len(expired)) if seen else None
        chunk = (
            self._next_row,
            numbers,
            self._next_byte,
            len(body),
            at_ms,
            counts,
            sites,
            body,
        )
        taken = (
            (seen.seq, seen.event_ids, seen.batch_ids, answers) if seen else _NO_BATCHES
        )
        last_expired = expired[-1].seq if expired else 0
        self._connection.execute(_INSERT_GROUP, (*chunk, *taken, last_expired))
        self._next_row += numbers
        self._next_byte += len(body)
        self.backlog = self.backlog.grow(
            rows=group.row_count, size=len(body), at_ms=at_ms
        )
        self.shares.hold(sites, end=self._next_byte)
        self.outcomes.add(counts)
        if seen:
            self._next_seq += 1
            del self._oldest[: len(expired)]
            self.window.add(seen, group.event_ids)
            self.window.drop(expired, from_ms=from_ms)

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

    def _read_backlog(self) -> Backlog:
        first = self._connection.execute(
            "SELECT first_row, first_byte, at_ms, "
            "(SELECT count(*) FROM chunks WHERE byte_count = 0) "
            "FROM chunks ORDER BY first_row LIMIT 1"
        ).fetchone()
        if first is None:
            self.shares.release(before=self._next_byte)
            return Backlog(0, 0, None)
        row, byte, at_ms, without_rows = first
        self.shares.release(before=byte)
        rows = self._next_row - row - without_rows
        return Backlog(rows, self._next_byte - byte, at_ms if rows else None)

    def _make_seen(self, group: Group, at_ms: int, answers: bytes) -> SeenRow:
        event_ids, batch_ids = b"".join(group.event_ids), b"".join(group.answers)
        return SeenRow(self._next_seq, at_ms, event_ids, batch_ids, len(answers))

    def _select_expired(self, fresh: SeenRow) -> list[SeenRow]:
        return self.window.select_expired(self._iterate_oldest(), fresh=fresh)

    def _iterate_oldest(self) -> Iterator[SeenRow]:
        """Yield as many of the oldest rows of `seen` as one commit may delete."""
        ids = index = 0
        while ids < _FORGET_IDS:
            if index == len(self._oldest) and not self._read_ahead():
                return
            row = self._oldest[index]
            index += 1
            ids += max(row.events, 1)
            yield row

    def _read_ahead(self) -> bool:
        """Read some more of the oldest rows, and return whether there are any."""
        after = self._oldest[-1].seq if self._oldest else 0
        rows = self._connection.execute(
            f"{_SEEN} WHERE seq > ? ORDER BY seq LIMIT ?", (after, _OLDEST_ROWS)
        ).fetchall()
        self._oldest += [SeenRow(*row) for row in rows]
        return bool(rows)

    def _find_start(self, fresh: SeenRow, dropped: int) -> int:
        """Return when the oldest row was taken that stays."""
        if dropped == len(self._oldest) and not self._read_ahead():
            return fresh.at_ms
        return self._oldest[dropped].at_ms

    def _read_end(self) -> tuple[int, int]:
        # One statement, so one snapshot: a writer may be deleting at this moment.
        end: tuple[int, int] = self._connection.execute(
            "SELECT coalesce(first_row + row_count, next_row), "
            "coalesce(first_byte + byte_count, next_byte) FROM meta LEFT JOIN chunks "
            "ON first_row = (SELECT max(first_row) FROM chunks)"
        ).fetchone()
        return end

    def _load_window(self) -> None:
        for row in self._connection.execute(f"{_SEEN} ORDER BY seq"):
            seen = SeenRow(*row)
            self.window.add(seen, set(split_ids(seen.event_ids)))
            self._next_seq = seen.seq + 1

    def _load_shares(self) -> None:
        for end, sites in self._connection.execute(
            "SELECT first_byte + byte_count, sites FROM chunks ORDER BY first_row"
        ):
            self.shares.hold(sites or b"", end=end)

    def _load_outcomes(self) -> Outcomes:
        with transaction(self._connection):
            accounts = read_accounts(self._connection)
        fates = set(Fate)
        events = accounts.events.items()
        return Outcomes({key: sum_ for key, sum_ in events if key[1] not in fates})
