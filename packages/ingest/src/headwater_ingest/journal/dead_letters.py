"""Rows that ClickHouse refuses, kept in the journal's file until somebody decides.

A refused block is cut in two until the bad rows are alone. What was found on the way is
a verdict, on disk before anything is done about it, so that after a crash no INSERT is
sent that was cut, under whatever circumstances: its halves may have been written. The
checkpoint of the block turns the verdicts on single rows into dead letters, in the
transaction that lets the block go: a row is in a block, written, or dead, and never two
of these.

A replay writes the rows that it is about to send, and their token, into `replays`, and
takes them out again when they are written, together with their dead letters. One that
is killed is ended by the next, unchanged.

    dead_letters
        id          PK           never used twice
        site_id                  as text: SQLite knows no unsigned numbers of 64 bits
        event_id                 16 bytes
        name, distinct_id        of the event
        error                    why it was refused
        at_ms                    when
        row                      made by `encode_rows`
    replays
        token       PK           what ClickHouse will know the rows by
        dead_letters             MessagePack: the ids of those that are being replayed
        rows                     MessagePack: [row, ...], each made by `encode_rows`
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import msgspec

from headwater_ingest.journal.accounts import Fate, move
from headwater_ingest.journal.connection import Connection
from headwater_ingest.journal.database import (
    FILE_NAME,
    explain,
    open_for_writer,
    transaction,
)

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_ids: Final = msgspec.msgpack.Decoder(list[int]).decode
_decode_rows: Final = msgspec.msgpack.Decoder(list[bytes]).decode

_COLUMNS: Final = "id, site_id, event_id, name, distinct_id, error, at_ms, row"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One row that ClickHouse refuses.

    Attributes:
        site_id: Its site.
        event_id: Its id.
        name: Of the event.
        distinct_id: Of the event; empty for a visitor of a web page.
        error: Why it was refused, one line.
        at_ms: When.
        row: All of it, made by `encode_rows`.
        id: Its number here; 0 before it has one.
    """

    site_id: int
    event_id: UUID
    name: str
    distinct_id: str
    error: str
    at_ms: int
    row: bytes
    id: int = 0


@dataclass(frozen=True, slots=True)
class Replay:
    """Rows that are being sent once more.

    Attributes:
        token: What ClickHouse knows them by.
        dead_letters: The ids of the dead letters among them.
        rows: The rows, each made by `encode_rows`.
    """

    token: str
    dead_letters: tuple[int, ...]
    rows: tuple[bytes, ...]


def bury(connection: Connection, dead: Sequence[DeadLetter]) -> None:
    """Make dead letters of rows, within the transaction that lets their block go."""
    connection.execute("DELETE FROM verdicts")
    connection.executemany(
        f"INSERT INTO dead_letters ({_COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - our own words
        [
            (
                str(each.site_id),
                each.event_id.bytes,
                each.name,
                each.distinct_id,
                each.error,
                each.at_ms,
                each.row,
            )
            for each in dead
        ],
    )


def tally_sites(letters: Sequence[DeadLetter]) -> Counter[int]:
    """Return how many of some dead letters each site has."""
    return Counter(each.site_id for each in letters)


class DeadLetters:
    """The dead letters of a data directory. Works while the service runs, too.

    Every method may raise `JournalError`; then nothing of the call has been done.
    """

    def __init__(self, connection: Connection, path: Path) -> None:
        """Use an open connection to the journal's file; see `open_dead_letters`."""
        self._connection = connection
        self._path = path

    def count(self) -> int:
        """Return how many there are."""
        with self._explained():
            [(number,)] = self._connection.execute("SELECT count(*) FROM dead_letters")
        return int(number)

    def read(
        self,
        *,
        site_id: int | None = None,
        ids: Sequence[int] = (),
        limit: int | None = None,
    ) -> list[DeadLetter]:
        """Return dead letters, the oldest first.

        Args:
            site_id: Of this site only.
            ids: These only, if there are any.
            limit: So many at most.
        """
        wanted = ["1"]
        if site_id is not None:
            wanted.append(f"site_id = '{site_id:d}'")
        if ids:
            wanted.append(f"id IN ({', '.join(f'{each:d}' for each in ids)})")
        query = (
            f"SELECT {_COLUMNS} FROM dead_letters WHERE {' AND '.join(wanted)} "  # noqa: S608 - numbers only
            "ORDER BY id LIMIT ?"
        )
        with self._explained():
            rows = self._connection.execute(query, (-1 if limit is None else limit,))
            return [_to_letter(row) for row in rows]

    def discard(self, letters: Sequence[DeadLetter]) -> int:
        """Forget dead letters for good, and return how many there still were."""
        with self._explained(), transaction(self._connection):
            return self._delete([each.id for each in letters], Fate.DISCARDED)

    def settle(self, letters: Sequence[DeadLetter]) -> None:
        """Let go of dead letters that have come to ClickHouse by another way."""
        with self._explained(), transaction(self._connection):
            self._delete([each.id for each in letters], Fate.WRITTEN)

    def erase(self, site_id: int, distinct_ids: Sequence[str]) -> int:
        """Forget the dead letters of some people, and return how many there were."""
        with self._explained(), transaction(self._connection):
            erased = sum(
                self._connection.execute(
                    "DELETE FROM dead_letters WHERE site_id = ? AND distinct_id = ?",
                    (str(site_id), each),
                ).rowcount
                for each in distinct_ids
            )
            self._move(Fate.ERASED_UNWRITTEN, {site_id: erased})
            return erased

    def unfinished_replays(self) -> list[Replay]:
        """Return what earlier replays have begun to send."""
        with self._explained():
            rows = self._connection.execute("SELECT * FROM replays ORDER BY rowid")
            return [
                Replay(token, tuple(_decode_ids(ids)), tuple(_decode_rows(blobs)))
                for token, ids, blobs in rows
            ]

    def begin_replay(
        self, rows: Sequence[bytes], letters: Sequence[DeadLetter] = ()
    ) -> Replay:
        """Put what is going to be sent on disk, under a token of its own.

        Args:
            rows: The rows, each made by `encode_rows`.
            letters: The dead letters that they come from.
        """
        ids = tuple(each.id for each in letters)
        replay = Replay(f"replay/{uuid4()}", ids, tuple(rows))
        with self._explained(), transaction(self._connection):
            self._connection.execute(
                "INSERT INTO replays VALUES (?, ?, ?)",
                (replay.token, _encode(ids), _encode(replay.rows)),
            )
        return replay

    def end_replay(self, replay: Replay) -> None:
        """Let go of what is written now, and of its dead letters."""
        with self._explained(), transaction(self._connection):
            self._delete(replay.dead_letters, Fate.WRITTEN)
            self._forget(replay)

    def cut_replay(self, replay: Replay) -> tuple[Replay, Replay] | None:
        """Make two of a replay that was refused, or let a single row go.

        Returns:
            Both halves; None when there was one row, which stays a dead letter if it
            was one.
        """
        middle = len(replay.rows) // 2
        halves = (slice(None, middle), slice(middle, None))
        made = [
            Replay(
                f"{replay.token}/{number}",
                replay.dead_letters[half],
                replay.rows[half],
            )
            for number, half in enumerate(halves)
            if middle
        ]
        with self._explained(), transaction(self._connection):
            self._forget(replay)
            self._connection.executemany(
                "INSERT INTO replays VALUES (?, ?, ?)",
                [(e.token, _encode(e.dead_letters), _encode(e.rows)) for e in made],
            )
        return (made[0], made[1]) if made else None

    def _delete(self, ids: Sequence[int], fate: Fate) -> int:
        """Delete dead letters, and account for what has become of those there were."""
        sites: Counter[int] = Counter()
        for each in ids:
            found = self._connection.execute(
                "DELETE FROM dead_letters WHERE id = ? RETURNING site_id", (each,)
            ).fetchall()
            sites.update(int(site_id) for (site_id,) in found)
        self._move(fate, sites)
        return sites.total()

    def _move(self, fate: Fate, sites: Mapping[int, int]) -> None:
        move(self._connection, Fate.DEAD_LETTERED, fate, sites)

    def _forget(self, replay: Replay) -> None:
        self._connection.execute("DELETE FROM replays WHERE token = ?", (replay.token,))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise explain(error, self._path) from error


@contextmanager
def open_dead_letters(directory: Path) -> Iterator[DeadLetters]:
    """Open the dead letters of a data directory.

    Raises:
        JournalError: If there is no journal, or it cannot be written.
    """
    with closing(open_for_writer(directory)) as connection:
        yield DeadLetters(connection, directory / FILE_NAME)


def _to_letter(row: tuple[int, str, bytes, str, str, str, int, bytes]) -> DeadLetter:
    number, site_id, event_id, name, distinct_id, error, at_ms, blob = row
    return DeadLetter(
        id=number,
        site_id=int(site_id),
        event_id=UUID(bytes=event_id),
        name=name,
        distinct_id=distinct_id,
        error=error,
        at_ms=at_ms,
        row=blob,
    )
