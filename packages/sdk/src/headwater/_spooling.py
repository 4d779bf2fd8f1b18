"""Which batches are on disk, and which were taken from there. No I/O.

A batch that was put on disk while the server is away, or taken from there, stays there
until it is settled: a process that is killed then costs nothing.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence

from headwater._batch import FrozenBatch

NOBODYS: int = sys.maxsize
"""The number of events that no ticket waits for: they are of another time."""


class Spooling:
    """What a `Delivery` knows of its spool; it has the same owner.

    Args:
        is_on: There is one.
    """

    def __init__(self, *, is_on: bool) -> None:
        self.is_on = is_on
        self.may_have_more = is_on
        """There may be batches in the spool that nobody has taken."""
        self.is_turn_of_spool = True
        self.is_refusing = False
        """The spool could not keep all; it is not asked again in this round."""
        self._restored: deque[FrozenBatch] = deque()
        self._kept: set[str] = set()
        self._done: list[str] = []

    @property
    def front(self) -> FrozenBatch | None:
        """The batch of the spool that goes next, before all that are queued."""
        return self._restored[0] if self._restored else None

    @property
    def restored(self) -> Sequence[FrozenBatch]:
        """All batches that were taken from the spool and are not settled."""
        return tuple(self._restored)

    @property
    def restored_events(self) -> int:
        """How many events were taken from the spool and are not settled."""
        return sum(len(batch.events) for batch in self._restored)

    def unkept(self, batches: Sequence[FrozenBatch]) -> list[FrozenBatch]:
        """Returns those that are not on disk."""
        return [each for each in batches if each.batch_id not in self._kept]

    def kept_of(self, batches: Sequence[FrozenBatch]) -> list[FrozenBatch]:
        """Returns those that are on disk."""
        return [each for each in batches if each.batch_id in self._kept]

    def note_kept(self, batches: Sequence[FrozenBatch]) -> None:
        """Takes note of batches that were put on disk."""
        self._kept.update(batch.batch_id for batch in batches)

    def look_again(self) -> None:
        """Has the spool asked for more: the server answers again."""
        self.may_have_more = self.is_on

    def restore(self, batches: Sequence[FrozenBatch]) -> None:
        """Takes batches that the spool has handed out."""
        self.note_kept(batches)
        self._restored.extend(batches)
        self.may_have_more = bool(batches)
        self.is_turn_of_spool = False

    def split(self, batch: FrozenBatch, first_id: str, second_id: str) -> bool:
        """Replaces a batch of the spool by its halves, which are in memory only.

        Returns:
            Whether it was one of the spool.
        """
        self._finish(batch)
        if self.front is not batch:
            return False
        self._restored.popleft()
        self._restored.extendleft(reversed(batch.halves(first_id, second_id)))
        return True

    def settle(self, batch: FrozenBatch) -> bool:
        """Takes note that a batch was delivered or given up.

        Returns:
            Whether it was one of the spool.
        """
        self._finish(batch)
        self.is_turn_of_spool = True
        if self.front is not batch:
            return False
        self._restored.popleft()
        return True

    def leave(self) -> tuple[int, list[bytes]]:
        """Lets go of what was taken from the spool, and is still there.

        Returns:
            How many events are on disk, and those that are not.
        """
        kept = self.kept_of(self.restored)
        events = [e for batch in self.unkept(self.restored) for e in batch.events]
        self._restored.clear()
        return sum(len(batch.events) for batch in kept), events

    @property
    def has_done(self) -> bool:
        """Whether there are batches that the spool can forget."""
        return bool(self._done)

    def take_done(self) -> list[str]:
        """Returns the ids of batches that the spool can forget."""
        done, self._done = self._done, []
        return done

    def _finish(self, batch: FrozenBatch) -> None:
        if batch.batch_id in self._kept:
            self._kept.discard(batch.batch_id)
            self._done.append(batch.batch_id)
