"""Puts rows through the writer again, without doubling anything that is there.

Rows that a query finds stored are left out. The others are frozen on disk under a token
of their own before they are sent, and let go when they are written: whoever is killed
in between sends the same rows under the same token the next time, which brings them
into every table once.

It works beside the running service: rows in the journal are not its business, and what
it sends has left the journal long ago.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from headwater_ingest.clickhouse.client import ClickHouseUrl, connect
from headwater_ingest.clickhouse.session import open_session
from headwater_ingest.clickhouse.stored import EventKey, find_stored
from headwater_ingest.errors import ReplayInterruptedError
from headwater_ingest.journal.dead_letters import (
    DeadLetter,
    DeadLetters,
    Replay,
    open_dead_letters,
)
from headwater_ingest.journal.lock import FileLock
from headwater_ingest.rows import Row, Rows, decode_rows, encode_row
from headwater_ingest.writer.bisect import Sink
from headwater_ingest.writer.block import TIMESTAMP, make_inserts
from headwater_ingest.writer.classify import Failure, FailureKind, classify
from headwater_ingest.writer.sink import ClickHouseSink

CHUNK_ROWS: Final = 10_000
PATIENCE_S: Final = 60.0
"""How long to try again what will pass."""

_RETRY_S: Final = 1.0
_LOCK_NAME: Final = "replay.lock"


@dataclass(slots=True)
class ReplayCounts:
    """What became of the rows of a replay.

    Attributes:
        found: Rows that were looked at.
        stored: Those that were in ClickHouse already.
        written: Those that are there now, and were not.
        refused: Those that ClickHouse refuses.
    """

    found: int = 0
    stored: int = 0
    written: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """One row that may be sent.

    Attributes:
        site_id: Its site.
        row: What it holds.
        letter: The dead letter that it comes from, if any.
    """

    site_id: int
    row: Row
    letter: DeadLetter | None = None

    @property
    def key(self) -> EventKey:
        """What it is told by from other events."""
        return self.site_id, UUID(bytes=self.row.event_id)

    @property
    def time_ms(self) -> int:
        """When the event happened, epoch ms."""
        return int(self.row.columns[TIMESTAMP])


class Replayer:
    """Sends rows once more. For one thread.

    Attributes:
        counts: What has become of rows so far.
    """

    def __init__(
        self,
        url: ClickHouseUrl,
        letters: DeadLetters,
        sink: Sink,
        *,
        patience_s: float = PATIENCE_S,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        """Prepare; nothing is sent yet. See `open_replayer`.

        Args:
            url: Where ClickHouse is.
            letters: Where rows are frozen.
            sink: Where they go.
            patience_s: How long to try again what will pass.
            wait: Waits for some seconds.
        """
        self._url = url
        self._letters = letters
        self._sink = sink
        self._patience_s = patience_s
        self._wait = wait
        self.counts = ReplayCounts()

    def finish(self) -> None:
        """Send what an earlier replay has begun to send.

        Raises:
            ReplayInterruptedError: ClickHouse does not take it now.
            ClickHouseError: It cannot be asked.
        """
        for each in self._letters.unfinished_replays():
            self._send(each)

    def look(self, items: Sequence[Item]) -> list[Item]:
        """Count some rows, and return those that are not in ClickHouse.

        Raises:
            ClickHouseError: It cannot be asked.
        """
        keys, times = [each.key for each in items], [each.time_ms for each in items]
        with open_session(self._url, timeout_s=PATIENCE_S) as client:
            stored = find_stored(client, keys, times)
        absent = {
            key: item
            for key, item in zip(keys, items, strict=True)
            if key not in stored
        }
        self.counts.found += len(items)
        self.counts.stored += len(items) - len(absent)
        return list(absent.values())

    def send(self, items: Sequence[Item]) -> None:
        """Send those of some rows that are not in ClickHouse.

        Raises:
            ReplayInterruptedError: ClickHouse does not take them now.
            ClickHouseError: It cannot be asked.
        """
        absent = self.look(items)
        kept = {id(each) for each in absent}
        self._letters.settle(
            [each.letter for each in items if each.letter and id(each) not in kept]
        )
        # A year for itself, so that it is one INSERT: it is written, or it is not.
        for _, year in groupby(sorted(absent, key=_year_of), key=_year_of):
            chosen = list(year)
            letters = [each.letter for each in chosen if each.letter]
            rows = [encode_row(each.row) for each in chosen]
            self._send(self._letters.begin_replay(rows, letters))

    def _send(self, replay: Replay) -> None:
        sets = [decode_rows(each) for each in replay.rows]
        failure = self._insert(sets, replay.token)
        if failure is None:
            self._letters.end_replay(replay)
            self.counts.written += len(replay.rows)
        elif halves := self._letters.cut_replay(replay):
            for half in halves:
                self._send(half)
        else:
            self.counts.refused += 1

    def _insert(self, sets: Sequence[Rows], token: str) -> Failure | None:
        """Return None once the rows are stored, or why they never will be."""
        [insert] = make_inserts(sets, token)
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                self._sink.insert(insert)
            except Exception as error:
                failure = classify(error)
                if failure.kind is FailureKind.REJECTED:
                    return failure
                is_late = time.monotonic() >= deadline
                if failure.kind is FailureKind.FATAL or is_late:
                    raise ReplayInterruptedError(
                        f"ClickHouse takes no rows now ({failure.message}): run the "
                        "command again later, it goes on where it stopped"
                    ) from error
                self._wait(_RETRY_S)
            else:
                return None


@contextmanager
def open_replayer(directory: Path, url: ClickHouseUrl) -> Iterator[Replayer]:
    """Open what a replay needs. There is one at a time on a data directory.

    Raises:
        JournalError: There is no journal, or another replay is at work.
    """
    with open_dead_letters(directory) as letters, alone_with_letters(directory):
        sink = ClickHouseSink(partial(connect, url), lambda _: None)
        with closing(sink):
            yield Replayer(url, letters, sink)


@contextmanager
def alone_with_letters(directory: Path) -> Iterator[None]:
    """Keep others from replaying and from changing dead letters.

    Raises:
        JournalLockedError: Somebody does it at this moment.
    """
    with closing(FileLock(directory / _LOCK_NAME)):
        yield


def items_of(sets: Iterable[Rows], keep: Mapping[str, Any]) -> Iterator[Item]:
    """Yield the rows of some sets, one by one.

    Args:
        sets: The sets.
        keep: Only rows with these values.
    """
    for rows in sets:
        for index, event_id in enumerate(rows.event_id):
            columns = dict(rows.constants)
            columns.update({name: each[index] for name, each in rows.varying.items()})
            if all(columns.get(name) == value for name, value in keep.items()):
                yield Item(columns.get("site_id", 0), Row(event_id, columns))


def items_of_letters(letters: Iterable[DeadLetter]) -> Iterator[Item]:
    """Yield the rows of some dead letters."""
    for letter in letters:
        [item] = items_of([decode_rows(letter.row)], {})
        yield Item(item.site_id, item.row, letter)


def in_chunks(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    """Yield rows in lists of a size, the last of which may be shorter."""
    while chunk := list(islice(items, size)):
        yield chunk


def _year_of(item: Item) -> int:
    return datetime.fromtimestamp(item.time_ms / 1000, UTC).year
