"""The duplicate window: which event ids and batch ids were taken lately.

An index in memory of the table `seen`, which is the truth. It is exact, and bounded: it
keeps what was taken within `max_age_ms`, at most `max_events` event ids and, since
batches and their answers take room as well, `BYTES_PER_EVENT` for each of these on
disk. The rows of `seen` are let go one by one, the oldest first.

Ids lie end to end in half a million buckets, each a `bytes`: about 25 bytes an id at 10
million, where a set takes 105. A look-up and an addition cost 1 µs each on a busy
machine, twice what a set takes and the same at any size; neither ever stops to grow.
Which kind of ids clients send makes no difference, and since Python's hash has a
secret, nobody can fill one bucket.

The commit thread changes the window, any thread may read it: each step replaces one
bucket, and a reader that comes too early is corrected by the commit. Who has looked
once need only be told of what was taken since: the latest rows are kept as sets too,
which saves a twentieth of what a native event costs the service.
"""

from collections import deque
from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from headwater_ingest.journal.entry import ID_BYTES, split_ids

BYTES_PER_EVENT: Final = 50
"""On disk, for an event id that the window may hold: 20 million take a gigabyte."""

_EVENT_BUCKETS: Final = 1 << 19
_BATCH_BUCKETS: Final = 1 << 16
_SEQ_BYTES: Final = 8
_RECORD_BYTES: Final = ID_BYTES + _SEQ_BYTES
_LATEST_ROWS: Final = 8
"""An entry rarely waits for more commits than one or two."""


class SeenRow(msgspec.Struct, frozen=True):
    """One row of `seen`: what a group commit has taken.

    Attributes:
        seq: Its number.
        at_ms: When.
        event_ids: 16 bytes each.
        batch_ids: 16 bytes each.
        answer_bytes: Length of the answers to the batches.
    """

    seq: int
    at_ms: int
    event_ids: bytes
    batch_ids: bytes
    answer_bytes: int

    @property
    def events(self) -> int:
        """How many event ids it has."""
        return len(self.event_ids) // ID_BYTES

    @property
    def bytes(self) -> int:
        """How much room it takes."""
        return len(self.event_ids) + len(self.batch_ids) + self.answer_bytes


class DuplicateWindow:
    """Event ids, and for each batch id the row of `seen` that holds its answer.

    Attributes:
        events: How many event ids it holds.
        bytes: How much room its rows of `seen` take.
        from_ms: When the oldest of them was taken; None while it is empty.
        through: The number of the latest row. Who reads it first, and then looks for
            ids, sees all that was taken up to there.
    """

    def __init__(self, *, max_events: int, max_age_ms: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_events * BYTES_PER_EVENT
        self._max_age_ms = max_age_ms
        self._events = [b""] * _EVENT_BUCKETS
        self._batches = [b""] * _BATCH_BUCKETS
        self.events = 0
        self.bytes = 0
        self.from_ms: int | None = None
        self.through = 0
        self._latest: deque[tuple[int, AbstractSet[bytes]]] = deque(maxlen=_LATEST_ROWS)

    def find_events(self, ids: Collection[bytes]) -> set[bytes]:
        """Return those of the ids that were taken."""
        buckets = self._events
        last = _EVENT_BUCKETS - 1
        # `find`, since `in` tries first whether the id is a number: twice the time.
        return {
            each
            for each in ids
            if (bucket := buckets[hash(each) & last]).find(each) >= 0
            and _find(bucket, each, ID_BYTES) >= 0
        }

    def find_events_since(self, ids: AbstractSet[bytes], through: int) -> set[bytes]:
        """Return those of the ids that were taken, if none was up to a row.

        For the commit thread, which alone knows what the latest rows are.

        Args:
            ids: The ids.
            through: The number of the row; 0 if that is not said.
        """
        if not through or self._latest[0][0] > through + 1:
            return self.find_events(ids)
        return {
            each for seq, taken in self._latest if seq > through for each in taken & ids
        }

    def find_batch(self, batch_id: bytes) -> int | None:
        """Return the row of `seen` with the latest answer to a batch."""
        bucket = self._batches[hash(batch_id) & (_BATCH_BUCKETS - 1)]
        seq = None
        at = _find(bucket, batch_id, _RECORD_BYTES)
        while at >= 0:
            seq = int.from_bytes(bucket[at + ID_BYTES : at + _RECORD_BYTES])
            at = _find(bucket, batch_id, _RECORD_BYTES, start=at + _RECORD_BYTES)
        return seq

    def add(self, row: SeenRow, event_ids: AbstractSet[bytes]) -> None:
        """Take in one row of `seen`, the latest.

        Args:
            row: The row.
            event_ids: Its event ids, one by one.
        """
        buckets, last = self._events, _EVENT_BUCKETS - 1
        for each in event_ids:
            buckets[hash(each) & last] += each
        batches, last = self._batches, _BATCH_BUCKETS - 1
        seq = row.seq.to_bytes(_SEQ_BYTES)
        for each in split_ids(row.batch_ids):
            batches[hash(each) & last] += each + seq
        self.events += row.events
        self.bytes += row.bytes
        if self.from_ms is None:
            self.from_ms = row.at_ms
        self._latest.append((row.seq, event_ids))
        self.through = row.seq  # last: whoever reads it finds all ids up to here

    def select_expired(
        self, oldest: Iterable[SeenRow], *, fresh: SeenRow
    ) -> list[SeenRow]:
        """Return those of the oldest rows that must go for a fresh one to come in."""
        events, size = self.events + fresh.events, self.bytes + fresh.bytes
        expired = []
        for row in oldest:
            is_over = events > self._max_events or size > self._max_bytes
            if not is_over and fresh.at_ms - row.at_ms <= self._max_age_ms:
                break
            expired.append(row)
            events -= row.events
            size -= row.bytes
        return expired

    def drop(self, rows: Iterable[SeenRow], *, from_ms: int | None) -> None:
        """Forget the oldest rows.

        Args:
            rows: The rows.
            from_ms: When the oldest of those that stay was taken.
        """
        for row in rows:
            _drop(self._events, split_ids(row.event_ids), ID_BYTES)
            _drop(self._batches, split_ids(row.batch_ids), _RECORD_BYTES)
            self.events -= row.events
            self.bytes -= row.bytes
        self.from_ms = from_ms


def _find(bucket: bytes, key: bytes, record_bytes: int, *, start: int = 0) -> int:
    """Return where the first record with a key begins, or -1.

    Bytes of two records that happen to spell the key are passed over.
    """
    at = bucket.find(key, start)
    while at > 0 and at % record_bytes:
        at = bucket.find(key, at + 1)
    return at


def _drop(buckets: list[bytes], keys: Iterable[bytes], record_bytes: int) -> None:
    last = len(buckets) - 1
    for key in keys:
        place = hash(key) & last
        bucket = buckets[place]
        at = _find(bucket, key, record_bytes)
        buckets[place] = bucket[:at] + bucket[at + record_bytes :]
