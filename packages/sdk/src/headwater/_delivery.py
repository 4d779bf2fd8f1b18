"""What to send and when, and what an answer leads to. No I/O, no threads, no clock.

This is the whole behaviour of the client. A driver adds what waits: it takes events
in, asks when a batch is due, carries it to the server and brings back the verdict.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from headwater._batch import ENVELOPE_BYTES, FrozenBatch
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
from headwater._queue import EventQueue, Ticket
from headwater._results import Stats
from headwater._retry import MAX_BACKOFF_S, RetryPolicy, RetrySchedule
from headwater._settings import Settings
from headwater._verdict import Foreign, Refused, Taken, TryAgain, Verdict
from headwater_schema.batch import EventResult
from headwater_schema.limits import MAX_EVENT_BYTES
from headwater_schema.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Report:
    """A fault, and the encoded events that it is about."""

    error: ReportedError
    events: Sequence[bytes]


class _Identified(msgspec.Struct):
    """As much of an encoded event as it takes to find it in an answer."""

    event_id: str


_STORED: Final = frozenset({Outcome.ACCEPTED, Outcome.DUPLICATE})

_read_id: Final = msgspec.json.Decoder(_Identified).decode


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
        self._settings = settings
        self._new_batch_id = new_batch_id
        self._queue = EventQueue(
            max_events=settings.max_queue_size, max_bytes=settings.max_queue_bytes
        )
        policy = RetryPolicy(
            max_retries=settings.max_retries,
            # Who flushes by himself may have set an interval of years.
            round_pause_s=min(settings.flush_interval, MAX_BACKOFF_S),
        )
        self._schedule = RetrySchedule(policy, random)
        self._trigger = settings.batch_trigger
        self._captured = 0
        self._delivered = 0
        self._lost: Counter[LossReason] = Counter()
        self._refused_properties = 0
        self.is_closed = False
        self.is_failing = False
        """The last round has failed: the server is away."""
        self.failed_rounds = 0
        self._last_failure = ""

    @property
    def queued(self) -> int:
        """How many events are not settled."""
        return len(self._queue)

    @property
    def pending(self) -> int:
        """How many events are in no batch yet."""
        return self._queue.pending

    def has_news_since(self, pending: int, size: int) -> bool:
        """Tells whether what came since then makes something due, now or later.

        Args:
            pending: How many events were pending then.
            size: How many bytes have come since.
        """
        pending_bytes = self._queue.pending_bytes
        return (
            pending == 0
            or pending < self._trigger <= self._queue.pending
            or pending_bytes - size < self._settings.max_batch_bytes <= pending_bytes
        )

    @property
    def stats(self) -> Stats:
        """The numbers as they are now."""
        return Stats(
            captured=self._captured,
            delivered=self._delivered,
            queued=self.queued,
            lost=dict(self._lost),
            refused_properties=self._refused_properties,
        )

    def take(self, event: bytes, now: float) -> Report | None:
        """Queues an event.

        Returns:
            What was lost by it. The event itself is the last of that, or is queued.
        """
        self._captured += 1
        if self.is_closed:
            return self._lose(
                ClosedError("an event was captured after shutdown(); it is lost"),
                (event,),
            )
        if len(event) > MAX_EVENT_BYTES:
            return self._lose(_too_large(event), (event,))
        lost = self._queue.append(event, now)
        return self._lose(self._overflow(len(lost)), lost) if lost else None

    def refuse(self, error: LossError) -> Report:
        """Counts an event that could not even be encoded."""
        self._captured += 1
        self._lost[error.reason] += 1
        return Report(error, ())

    def count_refused_properties(self, count: int) -> None:
        """Counts properties that an event went without."""
        self._refused_properties += count

    def wait_s(self, now: float) -> float | None:
        """Returns how long until a batch is due: 0 for now, None for not by itself."""
        queue = self._queue
        if not queue:
            return None
        due = now
        if not (queue.front or self._is_urgent) and queue.waiting_since is not None:
            due = queue.waiting_since + self._settings.flush_interval
        return max(0.0, max(due, self._schedule.not_before) - now)

    def next_batch(self) -> FrozenBatch:
        """Returns the batch that goes next; there must be events in the queue."""
        return self._queue.front or self._queue.freeze(
            self._new_batch_id(),
            max_events=self._settings.max_batch_events,
            max_bytes=self._settings.max_batch_bytes - ENVELOPE_BYTES,
        )

    def conclude(
        self, batch: FrozenBatch, verdict: Verdict, now: float
    ) -> list[Report]:
        """Does with the batch what the verdict on its attempt demands.

        Returns:
            What the application should know.
        """
        if batch is not self._queue.front:
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
                self._queue.split(batch, self._new_batch_id(), self._new_batch_id())
                return []
        self._reach()
        return [self._give_up(batch, _refusal(verdict))]

    def open_ticket(self) -> Ticket:
        """Makes everything queued due now, and says what becomes of it."""
        self._schedule.hasten()
        return self._queue.open_ticket()

    def close_ticket(self, ticket: Ticket) -> None:
        """Ends the hurry of a ticket."""
        self._queue.close_ticket(ticket)

    def close(self) -> None:
        """Takes no more events, and makes everything queued due now."""
        self.is_closed = True
        self._schedule.hasten()

    def abandon(self) -> Report | None:
        """Gives up whatever is still queued."""
        events = self._queue.clear()
        if not events:
            return None
        told = f"the last attempt failed: {self._last_failure}"
        error = UndeliveredError(
            f"events not known to be delivered to {self._settings.host} at shutdown: "
            f"{len(events)}; " + (told if self._last_failure else "allow it more time")
        )
        return self._lose(error, events)

    @property
    def _is_urgent(self) -> bool:
        return (
            self.is_closed
            or self._queue.pending >= self._trigger
            or self._queue.pending_bytes >= self._settings.max_batch_bytes
            or self._queue.is_awaited
        )

    def _accept(self, batch: FrozenBatch, verdict: Taken) -> list[Report]:
        self._reach()
        refusals = _refusals(batch, verdict) if verdict.results else {}
        places = {place for group in refusals.values() for place in group}
        self._queue.settle(batch, places)
        self._delivered += len(batch.events) - len(places)
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
        if not self._schedule.fail(now, verdict.retry_after_s):
            return []
        self.is_failing = True
        self.failed_rounds += 1
        error = UnavailableError(
            f"cannot deliver to {self._settings.host}: {verdict.why}; "
            f"events that wait in the queue: {self.queued}"
        )
        return [Report(error, batch.events)]

    def _doubt(self, batch: FrozenBatch, verdict: Foreign, now: float) -> list[Report]:
        if not self._schedule.fail(now):
            return []
        error = UnconfirmedError(
            f"{self._settings.host} does not answer as Headwater does; is the host "
            f"right? It said: {verdict.why}"
        )
        self._schedule.succeed()
        return [self._give_up(batch, error)]

    def _give_up(self, batch: FrozenBatch, error: LossError) -> Report:
        self._queue.settle(batch, range(len(batch.events)))
        return self._lose(error, batch.events)

    def _reach(self) -> None:
        self._schedule.succeed()
        self.is_failing = False
        self._last_failure = ""

    def _lose(self, error: LossError, events: Sequence[bytes]) -> Report:
        self._lost[error.reason] += len(events)
        return Report(error, events)

    def _overflow(self, count: int) -> QueueFullError:
        return QueueFullError(
            f"the queue is full; events dropped: {count}, events queued: "
            f"{self.queued}. Raise max_queue_size or max_queue_bytes, or see why "
            "delivery is slow"
        )


def _too_large(event: bytes) -> EventTooLargeError:
    return EventTooLargeError(
        f"an event has {len(event)} bytes; at most {MAX_EVENT_BYTES} can be sent"
    )


def _refusal(verdict: Refused) -> BatchRefusedError:
    return BatchRefusedError(
        status=verdict.status, code=verdict.code, message=verdict.message
    )


def _refusals(batch: FrozenBatch, verdict: Taken) -> dict[EventResult, list[int]]:
    """Returns the places in the batch that were refused, grouped by the result."""
    places: dict[str, int] = {}
    for place, event in enumerate(batch.events):
        places.setdefault(_read_id(event).event_id, place)
        places[f"#{place}"] = place
    refusals: dict[EventResult, list[int]] = defaultdict(list)
    for key, result in verdict.results.items():
        if key in places and result.outcome not in _STORED:
            refusals[result].append(places[key])
    return refusals
