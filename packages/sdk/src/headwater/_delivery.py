"""What is taken in, and what an answer leads to. No I/O, no threads, no clock.

With `Backlog` this is the whole behaviour of the client. A driver adds what waits: it
takes events in, asks when a batch is due, carries it to the server and brings back the
verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus

from msgspec import Struct

from headwater._backlog import Backlog
from headwater._batch import FrozenBatch
from headwater._errors import (
    BatchRefusedError,
    ClosedError,
    EventRefusedError,
    EventTooLargeError,
    LossError,
    LossReason,
    QueueFullError,
    ReportedError,
    UnavailableError,
    UnconfirmedError,
    UndeliveredError,
)
from headwater._ledger import Ledger
from headwater._queue import Ticket
from headwater._refusals import refused_places
from headwater._results import Stats
from headwater._settings import Settings
from headwater._verdict import Foreign, Refused, Taken, TryAgain, Verdict
from headwater_schema.limits import MAX_EVENT_BYTES


class Report(Struct, frozen=True):
    """A fault, and the encoded events that it is about."""

    error: ReportedError
    events: Sequence[bytes]


class Delivery:
    """The state of one client; its owner holds a lock around every call.

    Args:
        settings: The options of the client.
        new_batch_id: Makes ids of batches.
        random: Returns a number from 0 to 1, for the jitter.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        new_batch_id: Callable[[], str],
        random: Callable[[], float],
    ) -> None:
        self._host = settings.host
        self._url = settings.url
        self._drops_oldest = settings.overflow == "drop_oldest"
        self._ledger = Ledger()
        self.backlog = Backlog(
            settings,
            new_batch_id=new_batch_id,
            random=random,
            take_untold=self._ledger.take_untold,
        )
        self._queue = self.backlog.queue
        self.failed_rounds = 0
        self._last_failure = ""

    @property
    def is_closed(self) -> bool:
        """No more events are taken."""
        return self.backlog.is_closed

    @property
    def queued(self) -> int:
        """How many events are not settled."""
        return len(self.backlog)

    @property
    def stats(self) -> Stats:
        """The numbers as they are now."""
        return self._ledger.stats(self.queued)

    def has_room(self, event: bytes) -> bool:
        """Whether an event can be queued without dropping one, or never can be."""
        size = len(event)
        return self.is_closed or size > MAX_EVENT_BYTES or self._queue.has_room(size)

    def take(self, event: bytes, now: float) -> Report | None:
        """Queues an event.

        Returns:
            What was lost by it. The event itself is the last of that, or is queued.
        """
        self._ledger.captured += 1
        is_open = not self.backlog.is_closed and len(event) <= MAX_EVENT_BYTES
        if is_open and self._queue.append(event, now):
            return None
        return self._turn_away(event, now)

    def _turn_away(self, event: bytes, now: float) -> Report:
        if self.backlog.is_closed:
            return self._lose(
                ClosedError("an event was captured after shutdown(); it is lost"),
                (event,),
            )
        if len(event) > MAX_EVENT_BYTES:
            return self._lose(_too_large(event), (event,))
        return self._overflow(event, now)

    def refuse(self, error: LossError, events: Sequence[bytes] = ()) -> Report:
        """Counts one event that cannot be queued."""
        self._ledger.captured += 1
        self._ledger.lose(error.reason, 1)
        return Report(error, events)

    def filter_out(self) -> None:
        """Counts an event that the application held back itself."""
        self._ledger.captured += 1
        self._ledger.lose(LossReason.BEFORE_SEND, 1)

    def count_refused_properties(self, count: int) -> None:
        """Counts properties that an event went without."""
        self._ledger.refused_properties += count

    def leave_to_spool(self, kept: Sequence[FrozenBatch]) -> None:
        """Takes out of memory what is on disk, but for the batch that goes next.

        That one stays, and is tried until the server answers. So do those that came
        from the spool, which are few.
        """
        self.backlog.spooling.note_kept(kept)
        behind = {batch.batch_id for batch in self._queue.frozen[1:]}
        self._spool([batch for batch in kept if batch.batch_id in behind])

    def restore(self, batches: Sequence[FrozenBatch]) -> None:
        """Takes batches that the spool has handed out; none if it had none."""
        self.backlog.spooling.restore(batches)
        self._ledger.restored += sum(len(batch.events) for batch in batches)

    def conclude(
        self, batch: FrozenBatch, verdict: Verdict, now: float
    ) -> list[Report]:
        """Does with the batch what the verdict on its attempt demands.

        Returns:
            What the application should know.
        """
        if batch is not self.backlog.front:
            # The queue was emptied while the batch was on its way: it is counted.
            return []
        match verdict:
            case Taken():
                return self._accept(batch, verdict)
            case TryAgain():
                return self._postpone(batch, verdict, now)
            case Foreign():
                return self._doubt(batch, verdict, now)
            case Refused(is_too_large=True) if len(batch.events) > 1:
                self._reach()
                self.backlog.split(batch)
                return []
        self._reach()
        return [self._give_up(batch, _refusal(verdict, self._url))]

    def open_ticket(self) -> Ticket:
        """Makes everything queued due now, and says what becomes of it."""
        self.backlog.schedule.hasten()
        return self._queue.open_ticket()

    def close_ticket(self, ticket: Ticket) -> None:
        """Ends the hurry of a ticket."""
        self._queue.close_ticket(ticket)

    def close(self) -> None:
        """Takes no more events, and makes everything queued due now."""
        self.backlog.close()

    def abandon(self) -> Report | None:
        """Gives up whatever is still queued and on no disk."""
        spooling = self.backlog.spooling
        self._spool(spooling.kept_of(self._queue.frozen))
        kept_events, events = spooling.leave()
        self._ledger.spooled += kept_events
        events += self._queue.clear()
        if not events:
            return None
        told = f"the last attempt failed: {self._last_failure}"
        hurried = (
            "allow more time, by exit_timeout or shutdown(timeout), or set a spool"
        )
        error = UndeliveredError(
            f"events not known to be delivered to {self._host} at shutdown: "
            f"{len(events)}; " + (told if self._last_failure else hurried)
        )
        return self._lose(error, events)

    def _accept(self, batch: FrozenBatch, verdict: Taken) -> list[Report]:
        self._reach()
        refusals = refused_places(batch, verdict)
        lost = sorted({place for group in refusals.values() for place in group})
        self.backlog.settle(batch, lost)
        self._ledger.delivered += len(batch.events) - len(lost)
        return [
            self._lose(
                EventRefusedError(
                    outcome=result.outcome, code=result.reason, detail=result.detail
                ),
                [batch.events[place] for place in group],
            )
            for result, group in refusals.items()
        ]

    def _postpone(
        self, batch: FrozenBatch, verdict: TryAgain, now: float
    ) -> list[Report]:
        self._last_failure = verdict.why
        if not self.backlog.schedule.fail(now, verdict.retry_after_s):
            return []
        self.backlog.miss()
        self.failed_rounds += 1
        error = UnavailableError(
            f"cannot deliver to {self._host}: {verdict.why}; "
            f"events that wait in the queue: {self.queued}"
        )
        return [Report(error, batch.events)]

    def _doubt(self, batch: FrozenBatch, verdict: Foreign, now: float) -> list[Report]:
        if not self.backlog.schedule.fail(now):
            return []
        error = UnconfirmedError(
            f"{self._host} does not answer as Headwater does; is the host "
            f"right? It said: {verdict.why}"
        )
        self.backlog.schedule.succeed()
        return [self._give_up(batch, error)]

    def _give_up(self, batch: FrozenBatch, error: LossError) -> Report:
        self.backlog.settle(batch, range(len(batch.events)))
        self._ledger.give_back(batch.losses)
        return self._lose(error, batch.events)

    def _reach(self) -> None:
        self.backlog.reach()
        self._last_failure = ""

    def _lose(self, error: LossError, events: Sequence[bytes]) -> Report:
        self._ledger.lose(error.reason, len(events))
        return Report(error, events)

    def _spool(self, batches: Sequence[FrozenBatch]) -> None:
        self._queue.leave_to_spool(batches)
        for batch in batches:
            self._ledger.spooled += len(batch.events)
            self._ledger.give_back(batch.losses)

    def _overflow(self, event: bytes, now: float) -> Report:
        lost = self._queue.make_room(len(event)) if self._drops_oldest else []
        if lost:
            self._queue.append(event, now)
        lost = lost or [event]
        error = QueueFullError(
            f"the queue is full; events dropped: {len(lost)}, events queued: "
            f"{self.queued}. Raise max_queue_size or max_queue_bytes, or see why "
            "delivery is slow"
        )
        return self._lose(error, lost)


def _too_large(event: bytes) -> EventTooLargeError:
    return EventTooLargeError(
        f"an event has {len(event)} bytes; at most {MAX_EVENT_BYTES} can be sent"
    )


def _refusal(verdict: Refused, url: str) -> BatchRefusedError:
    message = verdict.message
    if verdict.status == HTTPStatus.NOT_FOUND:
        message += f" - at {url}: host must be the base URL of the service"
    return BatchRefusedError(
        status=verdict.status, code=verdict.code, message=message.strip()
    )
