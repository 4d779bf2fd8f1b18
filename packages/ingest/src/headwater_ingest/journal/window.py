"""The duplicate window: which event ids and batch ids were taken lately.

An index in memory of the table `seen`, which is the truth. It is exact, and bounded: it
keeps what was taken within `max_age_ms`, at most `max_events` event ids and, so that
batches without any rows are bounded as well, `ANSWER_BYTES` of answers per event id
allowed. Ids are kept in a few generations that are dropped whole: a look-up asks each
of them, and one large set would stop the loop for 50 ms whenever it grows.

An event id costs about 100 bytes and 0.3 µs per look-up at 2 million (measured). The
sets are made at the start and used again, so that `gc.freeze()` after it keeps the
collector from walking through them (150 ms).

The commit thread changes the window, any thread may read it: each step is one operation
on a set, and a reader that comes too early is corrected by the commit.
"""

from collections.abc import Collection, Iterable
from typing import Final

GENERATIONS: Final = 4
"""Generations that a full window has, the one that grows not counted."""

ANSWER_BYTES: Final = 128


class _Generation:
    """What was taken in one stretch of time."""

    __slots__ = ("answer_bytes", "batches", "ends_ms", "ids", "seq", "starts_ms")

    def __init__(self, seq: int, starts_ms: int, ids: set[bytes]) -> None:
        self.seq = seq
        self.starts_ms = self.ends_ms = starts_ms
        self.ids = ids
        self.batches: dict[bytes, int] = {}
        self.answer_bytes = 0


class DuplicateWindow:
    """Event ids, and for each batch id the row of `seen` that holds its answer."""

    def __init__(self, *, max_events: int, max_age_ms: int) -> None:
        self._max_events = max_events
        self._max_age_ms = max_age_ms
        self._spare: list[set[bytes]] = [set() for _ in range(GENERATIONS + 2)]
        self._generations: tuple[_Generation, ...] = ()

    def find_events(self, ids: Collection[bytes]) -> set[bytes]:
        """Return those of the ids that were taken."""
        found: set[bytes] = set()
        for generation in self._generations:
            if not generation.ids.isdisjoint(ids):
                found |= generation.ids.intersection(ids)
        return found

    def find_batch(self, batch_id: bytes) -> int | None:
        """Return the row of `seen` with the latest answer to a batch."""
        for generation in reversed(self._generations):
            if (seq := generation.batches.get(batch_id)) is not None:
                return seq
        return None

    def add(
        self,
        seq: int,
        at_ms: int,
        *,
        event_ids: Iterable[bytes],
        batch_ids: Iterable[bytes],
        answer_bytes: int,
    ) -> None:
        """Take in one row of `seen`, and drop what is too old or too much."""
        current = self._open_generation(seq, at_ms)
        current.ids.update(event_ids)
        current.batches.update(dict.fromkeys(batch_ids, seq))
        current.answer_bytes += answer_bytes
        current.ends_ms = at_ms
        while self._is_over(at_ms):
            self._drop_oldest()

    @property
    def first_seq(self) -> int:
        """The first row of `seen` that still counts; those before may be deleted."""
        return self._generations[0].seq if self._generations else 0

    @property
    def events(self) -> int:
        """How many event ids the window holds."""
        return sum(len(generation.ids) for generation in self._generations)

    @property
    def from_ms(self) -> int | None:
        """Since when the window is complete; None while it is empty."""
        return self._generations[0].starts_ms if self._generations else None

    def _open_generation(self, seq: int, at_ms: int) -> _Generation:
        if self._generations and not self._is_grown(self._generations[-1], at_ms):
            return self._generations[-1]
        generation = _Generation(
            seq, at_ms, self._spare.pop() if self._spare else set()
        )
        self._generations = (*self._generations, generation)
        return generation

    def _is_grown(self, generation: _Generation, at_ms: int) -> bool:
        most = self._max_events // GENERATIONS
        return (
            len(generation.ids) >= most
            or generation.answer_bytes >= most * ANSWER_BYTES
            or at_ms - generation.starts_ms >= self._max_age_ms // GENERATIONS
        )

    def _is_over(self, now_ms: int) -> bool:
        if len(self._generations) == 1:
            return False
        answer_bytes = sum(each.answer_bytes for each in self._generations)
        return (
            now_ms - self._generations[0].ends_ms > self._max_age_ms
            or self.events > self._max_events
            or answer_bytes > self._max_events * ANSWER_BYTES
        )

    def _drop_oldest(self) -> None:
        oldest, *kept = self._generations
        self._generations = tuple(kept)
        oldest.ids.clear()
        self._spare.append(oldest.ids)
