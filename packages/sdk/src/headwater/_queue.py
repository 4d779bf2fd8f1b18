"""The queue: encoded events in order, bounded by count and bytes. No I/O, no threads.

Events get consecutive numbers as they come. Those at the front are frozen into
batches, the others are pending::

    front                                        back
    [ batch 7: 0..99 ][ batch 8: 100..149 ] 150 151 152 ... ← append
      frozen: id and events never change    pending

A frozen batch stays in the queue, and is counted, until it is settled. A delivery
that fails therefore needs nothing put back: order, id and events are as they were.
When the queue is full the oldest *pending* events make room, or the new one is not
taken: that is the policy of the owner. When frozen batches alone fill the queue, the
new event is not taken under either.

Batches that a spool keeps leave the queue early: they are settled as *spooled*.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from itertools import islice

from msgspec import Struct

from headwater._batch import FrozenBatch
from headwater._errors import LossReason
from headwater._results import FlushResult


class Ticket(Struct):
    """What becomes of the events that were queued when it was opened.

    Attributes:
        end: The number of the first event that does not belong to it.
        queued: How many are not settled yet.
        delivered: How many the server has.
        lost: How many it will never get.
        spooled: How many wait on disk.
    """

    end: int
    queued: int
    delivered: int = 0
    lost: int = 0
    spooled: int = 0

    def count(self, first: int, *, delivered: int, lost: int) -> None:
        """Takes note of settled events, of which the first has the number `first`."""
        if first < self.end:
            self.queued -= delivered + lost
            self.delivered += delivered
            self.lost += lost

    def count_spooled(self, batch: FrozenBatch) -> None:
        """Takes note of a batch that a spool keeps."""
        inside = self.part_of(batch)
        self.queued -= inside
        self.spooled += inside

    def result(self, *, timed_out: bool) -> FlushResult:
        """Returns what became of the events so far."""
        return FlushResult(
            self.delivered,
            self.lost,
            self.queued,
            timed_out=timed_out,
            spooled=self.spooled,
        )

    def part_of(self, batch: FrozenBatch) -> int:
        """Returns how many events of a batch belong to it; it may end in its midst."""
        return min(max(self.end - batch.first, 0), len(batch.events))


class EventQueue:
    """FIFO of encoded events; its owner holds a lock around every call.

    Args:
        max_events: Most events, frozen ones included.
        max_bytes: Most bytes of encoded events, frozen ones included.
        historical: The events are old on purpose.
    """

    def __init__(
        self, *, max_events: int, max_bytes: int, historical: bool = False
    ) -> None:
        self._historical = historical
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._frozen: deque[FrozenBatch] = deque()
        self._pending: deque[bytes] = deque()
        self._tickets: list[Ticket] = []
        self._appended = 0
        self._length = 0
        self._bytes = 0
        self.pending = 0
        """How many events are in no batch yet."""
        self.pending_bytes = 0
        self.waiting_since: float | None = None
        """Since when the oldest pending event may have been waiting."""

    def __len__(self) -> int:
        return self._length

    @property
    def front(self) -> FrozenBatch | None:
        """The batch that goes next, if one is frozen."""
        return self._frozen[0] if self._frozen else None

    @property
    def frozen(self) -> Sequence[FrozenBatch]:
        """All batches, the one that goes next first."""
        return tuple(self._frozen)

    @property
    def is_awaited(self) -> bool:
        """Somebody holds a ticket for events that are not settled."""
        return any(ticket.queued for ticket in self._tickets)

    def has_room(self, size: int) -> bool:
        """Whether an event of `size` bytes can be taken without dropping any."""
        return self._length < self._max_events and self._bytes + size <= self._max_bytes

    def append(self, event: bytes, now: float) -> bool:
        """Takes `event` if there is room for it.

        Returns:
            Whether it was taken.
        """
        size = len(event)
        if self._length >= self._max_events or self._bytes + size > self._max_bytes:
            return False
        if not self._pending:
            self.waiting_since = now
        self._pending.append(event)
        self._appended += 1
        self._length += 1
        self._bytes += size
        self.pending += 1
        self.pending_bytes += size
        return True

    def make_room(self, size: int) -> list[bytes]:
        """Drops the oldest pending events so that one of `size` bytes can be taken.

        Returns:
            Those that were dropped: none if even all of them would not suffice.
        """
        if not self._has_room_without_pending(size):
            return []
        lost = []
        while not self.has_room(size):
            lost.append(self._drop_oldest())
        return lost

    def freeze(
        self,
        batch_id: str,
        *,
        max_events: int,
        max_bytes: int,
        losses: Mapping[LossReason, int],
    ) -> FrozenBatch:
        """Makes a batch of the oldest pending events and puts it behind the frozen.

        It has one event at least, whatever its size, and never more than the bounds.
        There must be a pending event.
        """
        pending = self._pending
        first = self._appended - len(pending)
        events = list(islice(pending, max_events))
        size = sum(map(len, events))
        # Each further event costs a comma.
        while size + len(events) - 1 > max_bytes and len(events) > 1:
            size -= len(events.pop())
        for _ in events:
            pending.popleft()
        self.pending -= len(events)
        self.pending_bytes -= size
        if not pending:
            self.waiting_since = None
        batch = FrozenBatch(batch_id, first, tuple(events), losses, self._historical)
        self._frozen.append(batch)
        return batch

    def settle(self, batch: FrozenBatch, lost: Collection[int] = ()) -> bool:
        """Takes the front batch out of the queue.

        Args:
            batch: What the front is believed to be.
            lost: Places in the batch of the events that the server does not have.

        Returns:
            Whether it was the front. It is not if the queue was emptied meanwhile.
        """
        if self.front is not batch:
            return False
        self._frozen.popleft()
        for ticket in self._tickets:
            inside = ticket.part_of(batch)
            missing = sum(place < inside for place in lost)
            ticket.count(batch.first, delivered=inside - missing, lost=missing)
        self._remove(batch.events)
        return True

    def split(self, batch: FrozenBatch, first_id: str, second_id: str) -> bool:
        """Replaces the front batch by its halves.

        Returns:
            Whether it was the front.
        """
        if self.front is not batch:
            return False
        self._frozen.popleft()
        self._frozen.extendleft(reversed(batch.halves(first_id, second_id)))
        return True

    def leave_to_spool(self, batches: Collection[FrozenBatch]) -> None:
        """Takes frozen batches out of the queue; they are safe elsewhere."""
        ids = {batch.batch_id for batch in batches}
        leaving = [batch for batch in self._frozen if batch.batch_id in ids]
        self._frozen = deque(b for b in self._frozen if b.batch_id not in ids)
        for batch in leaving:
            for ticket in self._tickets:
                ticket.count_spooled(batch)
            self._remove(batch.events)

    def clear(self) -> list[bytes]:
        """Empties the queue and returns what was in it, all of it lost."""
        events = [event for batch in self._frozen for event in batch.events]
        events.extend(self._pending)
        for ticket in self._tickets:
            ticket.lost += ticket.queued
            ticket.queued = 0
        self._frozen.clear()
        self._pending.clear()
        self._length = self._bytes = self.pending = self.pending_bytes = 0
        self.waiting_since = None
        return events

    def open_ticket(self) -> Ticket:
        """Returns a ticket for all events now in the queue."""
        ticket = Ticket(end=self._appended, queued=self._length)
        self._tickets.append(ticket)
        return ticket

    def close_ticket(self, ticket: Ticket) -> None:
        """Forgets a ticket; nobody waits for it any more."""
        self._tickets = [other for other in self._tickets if other is not ticket]

    def _drop_oldest(self) -> bytes:
        first = self._appended - len(self._pending)
        event = self._pending.popleft()
        for ticket in self._tickets:
            ticket.count(first, delivered=0, lost=1)
        self.pending -= 1
        self.pending_bytes -= len(event)
        self._remove((event,))
        return event

    def _has_room_without_pending(self, size: int) -> bool:
        return (
            self._length - self.pending < self._max_events
            and self._bytes - self.pending_bytes + size <= self._max_bytes
        )

    def _remove(self, events: Sequence[bytes]) -> None:
        self._length -= len(events)
        self._bytes -= sum(map(len, events))
