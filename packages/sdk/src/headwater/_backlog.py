"""What waits to be sent, in memory and on disk, and when which batch is due.

No I/O, no threads, no clock. The order: batches that were taken from the spool, then
those that are frozen, then what is pending.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from headwater._batch import ENVELOPE_BYTES, FrozenBatch
from headwater._errors import LossReason
from headwater._queue import EventQueue
from headwater._retry import MAX_BACKOFF_S, RetryPolicy, RetrySchedule
from headwater._settings import Settings
from headwater._spooling import Spooling

Untold = Callable[[], Mapping[LossReason, int]]


class Backlog:
    """The batches of one client; its owner holds a lock around every call.

    Args:
        settings: The options of the client.
        new_batch_id: Makes ids of batches.
        random: Returns a number from 0 to 1, for the jitter.
        take_untold: Returns the losses that a new batch tells of.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        new_batch_id: Callable[[], str],
        random: Callable[[], float],
        take_untold: Untold,
    ) -> None:
        self._settings = settings
        self._new_batch_id = new_batch_id
        self._take_untold = take_untold
        self._trigger: Final = settings.batch_trigger
        self._max_batch_bytes: Final = settings.max_batch_bytes
        policy = RetryPolicy(
            max_retries=settings.max_retries,
            # Who flushes by himself may have set an interval of years.
            round_pause_s=min(settings.flush_interval, MAX_BACKOFF_S),
        )
        self.schedule = RetrySchedule(policy, random)
        self.queue = EventQueue(
            max_events=settings.max_queue_size,
            max_bytes=settings.max_queue_bytes,
            historical=settings.historical,
        )
        self.spooling = Spooling(is_on=settings.spool is not None)
        self.is_closed = False
        self.is_failing = False
        """The last round has failed: the server is away."""

    def __len__(self) -> int:
        return len(self.queue) + self.spooling.restored_events

    @property
    def front(self) -> FrozenBatch | None:
        """The batch that goes next, if one is frozen."""
        return self.spooling.front or self.queue.front

    def has_news_since(self, pending: int, size: int) -> bool:
        """Tells whether what came since then makes something due, now or later.

        Args:
            pending: How many events were pending then.
            size: How many bytes have come since.
        """
        queue = self.queue
        most = self._max_batch_bytes
        return (
            pending == 0
            or pending < self._trigger <= queue.pending
            or queue.pending_bytes - size < most <= queue.pending_bytes
        )

    def wait_s(self, now: float) -> float | None:
        """Returns how long until a batch is due: 0 for now, None for not by itself."""
        if self.front:
            due = now
        elif self.queue:
            due = self._pending_due(now)
        else:
            return None
        return max(0.0, max(due, self.schedule.not_before) - now)

    def spill_wait_s(self, now: float) -> float | None:
        """Returns how long until something should go to disk: None for never."""
        if not (self.spooling.is_on and self.is_failing):
            return None
        if self.is_closed or self.spooling.is_refusing:
            return None
        if self.spooling.unkept(self.queue.frozen):
            return 0.0
        return max(0.0, self._pending_due(now) - now) if self.queue.pending else None

    @property
    def wants_restore(self) -> bool:
        """Whether batches of the spool should be taken before a next one is sent."""
        return (
            self.spooling.may_have_more
            and not (self.is_failing or self.is_closed)
            and self.front is None
            and (self.spooling.is_turn_of_spool or not self._is_urgent)
        )

    def next_batch(self) -> FrozenBatch:
        """Returns the batch that goes next; there must be events in the queue."""
        return self.front or self._freeze()

    def freeze_all(self) -> list[FrozenBatch]:
        """Returns everything that is on no disk, as frozen batches."""
        while self.queue.pending:
            self._freeze()
        return self.spooling.unkept([*self.spooling.restored, *self.queue.frozen])

    def split(self, batch: FrozenBatch) -> None:
        """Replaces the front batch by its halves."""
        first_id, second_id = self._new_batch_id(), self._new_batch_id()
        if not self.spooling.split(batch, first_id, second_id):
            self.queue.split(batch, first_id, second_id)

    def settle(self, batch: FrozenBatch, lost: Sequence[int]) -> None:
        """Takes the front batch out; `lost` are the places that the server lacks."""
        if not self.spooling.settle(batch):
            self.queue.settle(batch, lost)

    def reach(self) -> None:
        """Takes note that the server answers."""
        self.schedule.succeed()
        if self.is_failing:
            self.is_failing = False
            self.spooling.look_again()

    def miss(self) -> None:
        """Takes note that a round has failed."""
        self.is_failing = True
        self.spooling.is_refusing = False

    def close(self) -> None:
        """Makes everything queued due now; what is safe on disk stays there."""
        self.is_closed = True
        self.schedule.hasten()

    @property
    def _is_urgent(self) -> bool:
        return (
            self.is_closed
            or self.queue.pending >= self._trigger
            or self.queue.pending_bytes >= self._settings.max_batch_bytes
            or self.queue.is_awaited
        )

    def _pending_due(self, now: float) -> float:
        since = self.queue.waiting_since
        if since is None or self._is_urgent:
            return now
        return since + self._settings.flush_interval

    def _freeze(self) -> FrozenBatch:
        return self.queue.freeze(
            self._new_batch_id(),
            max_events=self._settings.max_batch_events,
            max_bytes=self._settings.max_batch_bytes - ENVELOPE_BYTES,
            losses=self._take_untold(),
        )
