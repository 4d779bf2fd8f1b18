"""The queue loses nothing, doubles nothing, keeps order and stays within bounds."""

from collections import deque
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from headwater._batch import FrozenBatch
from headwater._queue import EventQueue, Ticket


def queue_of(
    *events: bytes, max_events: int = 100, max_bytes: int = 10**6
) -> EventQueue:
    queue = EventQueue(max_events=max_events, max_bytes=max_bytes)
    for event in events:
        assert queue.append(event, 0.0)
    return queue


def push(queue: EventQueue, event: bytes) -> list[bytes]:
    """Appends an event as the policy `drop_oldest` does; returns what it cost."""
    if queue.append(event, 0.0):
        return []
    lost = queue.make_room(len(event))
    if not lost:
        return [event]
    assert queue.append(event, 0.0)
    return lost


def freeze(
    queue: EventQueue, max_events: int = 100, max_bytes: int = 10**6
) -> FrozenBatch:
    return queue.freeze("id", max_events=max_events, max_bytes=max_bytes, losses={})


def test_batch_takes_the_oldest_events_in_order() -> None:
    queue = queue_of(b"a", b"b", b"c")
    assert freeze(queue, max_events=2).events == (b"a", b"b")
    assert queue.pending == 1


def test_batch_stays_within_its_bytes_commas_included() -> None:
    queue = queue_of(b"1234", b"1234", b"1234")
    assert len(freeze(queue, max_bytes=9).events) == 2
    queue = queue_of(b"1234", b"1234", b"1234")
    assert len(freeze(queue, max_bytes=8).events) == 1


def test_event_larger_than_a_batch_goes_alone() -> None:
    queue = queue_of(b"12345", b"1")
    assert freeze(queue, max_bytes=3).events == (b"12345",)


def test_frozen_batch_stays_at_the_front_and_is_counted_until_settled() -> None:
    queue = queue_of(b"a", b"b")
    batch = freeze(queue, max_events=1)
    assert len(queue) == 2
    assert queue.front is batch
    assert queue.settle(batch)
    assert len(queue) == 1
    assert queue.front is None


def test_batch_that_is_not_the_front_cannot_be_settled_or_split() -> None:
    queue = queue_of(b"a", b"b")
    batch = freeze(queue)
    queue.clear()
    assert not queue.settle(batch)
    assert not queue.split(batch, "x", "y")
    assert len(queue) == 0


def test_halves_keep_order_and_events_and_get_new_ids() -> None:
    queue = queue_of(b"a", b"b", b"c", b"d")
    assert queue.split(freeze(queue, max_events=3), "x", "y")
    first = queue.front
    assert first == FrozenBatch("x", 0, (b"a",))
    assert queue.settle(first)
    assert queue.front == FrozenBatch("y", 1, (b"b", b"c"))
    assert len(queue) == 3


def test_full_queue_drops_the_oldest_pending_event() -> None:
    queue = queue_of(b"a", b"b", max_events=2)
    assert push(queue, b"c") == [b"a"]
    assert freeze(queue).events == (b"b", b"c")


def test_full_queue_never_drops_a_frozen_event() -> None:
    queue = queue_of(b"a", b"b", max_events=2)
    freeze(queue, max_events=1)
    assert push(queue, b"c") == [b"b"]
    freeze(queue)
    assert push(queue, b"d") == [b"d"]
    assert len(queue) == 2


def test_queue_is_bounded_by_bytes_too() -> None:
    queue = queue_of(b"12", b"34", b"5", max_bytes=5)
    assert push(queue, b"678") == [b"12", b"34"]
    assert queue.pending_bytes == 4


def test_event_that_can_never_fit_costs_no_other() -> None:
    queue = queue_of(b"12", max_bytes=5)
    assert push(queue, b"123456") == [b"123456"]
    assert len(queue) == 1


def test_waiting_begins_with_the_first_pending_event() -> None:
    queue = EventQueue(max_events=9, max_bytes=99)
    since = [queue.waiting_since]
    queue.append(b"a", 1.0)
    queue.append(b"b", 2.0)
    freeze(queue, max_events=1)
    since.append(queue.waiting_since)
    freeze(queue)
    since.append(queue.waiting_since)
    queue.append(b"c", 3.0)
    since.append(queue.waiting_since)
    assert since == [None, 1.0, None, 3.0]


def test_ticket_counts_only_what_was_queued_before_it() -> None:
    queue = queue_of(b"a", b"b")
    ticket = queue.open_ticket()
    queue.append(b"c", 0.0)
    assert queue.is_awaited
    batch = freeze(queue)
    queue.settle(batch, lost={1, 2})
    assert ticket == Ticket(end=2, queued=0, delivered=1, lost=1)
    assert not queue.is_awaited


def test_ticket_counts_events_dropped_by_overflow_as_lost() -> None:
    queue = queue_of(b"a", b"b", max_events=2)
    ticket = queue.open_ticket()
    for event in (b"c", b"d", b"e"):
        push(queue, event)
    assert ticket == Ticket(end=2, queued=0, delivered=0, lost=2)


def test_closed_ticket_is_no_longer_awaited() -> None:
    queue = queue_of(b"a")
    first, second = queue.open_ticket(), queue.open_ticket()
    queue.close_ticket(first)
    assert queue.is_awaited
    queue.close_ticket(second)
    assert not queue.is_awaited


def test_clearing_returns_everything_in_order_and_ends_tickets() -> None:
    queue = queue_of(b"a", b"b", b"c")
    ticket = queue.open_ticket()
    freeze(queue, max_events=1)
    freeze(queue, max_events=1)
    assert queue.clear() == [b"a", b"b", b"c"]
    assert (len(queue), queue.pending, queue.pending_bytes) == (0, 0, 0)
    assert ticket == Ticket(end=3, queued=0, delivered=0, lost=3)
    assert queue.append(b"d", 0.0)


@dataclass
class ModelTicket:
    """What a ticket should say, kept event by event."""

    ticket: Ticket
    waiting: set[bytes]
    delivered: int = 0
    lost: int = 0
    spooled: int = 0

    def spool(self, event: bytes) -> None:
        if event in self.waiting:
            self.waiting.remove(event)
            self.spooled += 1

    def settle(self, event: bytes, *, delivered: bool) -> None:
        if event in self.waiting:
            self.waiting.remove(event)
            self.delivered += delivered
            self.lost += not delivered


@dataclass
class Model:
    """The queue as two plain lists."""

    frozen: deque[FrozenBatch] = field(default_factory=deque)
    pending: list[bytes] = field(default_factory=list)
    tickets: list[ModelTicket] = field(default_factory=list)

    @property
    def front_size(self) -> int:
        return len(self.frozen[0].events) if self.frozen else 0

    @property
    def everything(self) -> list[bytes]:
        return [e for batch in self.frozen for e in batch.events] + self.pending

    def settle(self, event: bytes, *, delivered: bool) -> None:
        for ticket in self.tickets:
            ticket.settle(event, delivered=delivered)

    def spool(self, event: bytes) -> None:
        for ticket in self.tickets:
            ticket.spool(event)


class QueueMachine(RuleBasedStateMachine):
    """Every history of calls leaves the queue as a plain model says."""

    MAX_EVENTS = 6
    MAX_BYTES = 40

    def __init__(self) -> None:
        super().__init__()
        self.queue = EventQueue(max_events=self.MAX_EVENTS, max_bytes=self.MAX_BYTES)
        self.model = Model()
        self.numbers = count()
        self.seen: list[bytes] = []

    @rule(size=st.integers(4, 15))
    def append(self, size: int) -> None:
        event = b"%04d".ljust(size, b".") % next(self.numbers)
        lost = push(self.queue, event)
        if lost == [event]:
            frozen = [e for batch in self.model.frozen for e in batch.events]
            assert len(frozen) >= self.MAX_EVENTS or (
                sum(map(len, frozen)) + size > self.MAX_BYTES
            )
            return
        self.model.pending.append(event)
        assert list(lost) == self.model.pending[: len(lost)]
        del self.model.pending[: len(lost)]
        for each in lost:
            self.model.settle(each, delivered=False)

    @precondition(lambda self: self.model.pending)
    @rule(max_events=st.integers(1, 4), max_bytes=st.integers(1, 40))
    def freeze(self, max_events: int, max_bytes: int) -> None:
        batch = self.queue.freeze(
            f"batch {next(self.numbers)}",
            max_events=max_events,
            max_bytes=max_bytes,
            losses={},
        )
        size = len(batch.events)
        assert 1 <= size <= max_events
        assert size == 1 or len(b",".join(batch.events)) <= max_bytes
        assert list(batch.events) == self.model.pending[:size]
        del self.model.pending[:size]
        self.model.frozen.append(batch)

    @precondition(lambda self: self.model.frozen)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        batch = self.model.frozen.popleft()
        places = st.sets(st.integers(0, len(batch.events) - 1))
        lost = data.draw(places)
        assert self.queue.front == batch
        front = self.queue.front
        assert front is not None
        assert self.queue.settle(front, lost)
        for place, event in enumerate(batch.events):
            self.model.settle(event, delivered=place not in lost)
            self.seen.append(event)

    @precondition(lambda self: self.model.frozen)
    @rule(data=st.data())
    def leave_to_spool(self, data: st.DataObject) -> None:
        leaving = data.draw(st.sets(st.integers(0, len(self.model.frozen) - 1)))
        batches = [self.queue.frozen[place] for place in leaving]
        self.queue.leave_to_spool(batches)
        for batch in batches:
            self.model.frozen.remove(batch)
            for event in batch.events:
                self.model.spool(event)

    @precondition(lambda self: self.model.front_size > 1)
    @rule()
    def split(self) -> None:
        batch = self.model.frozen.popleft()
        front = self.queue.front
        assert front is not None
        assert self.queue.split(front, f"{front.batch_id}/1", f"{front.batch_id}/2")
        first, second = batch.halves(f"{batch.batch_id}/1", f"{batch.batch_id}/2")
        assert first.events + second.events == batch.events
        self.model.frozen.extendleft((second, first))

    @rule()
    def open_ticket(self) -> None:
        ticket = self.queue.open_ticket()
        self.model.tickets.append(ModelTicket(ticket, set(self.model.everything)))

    @precondition(lambda self: self.model.tickets)
    @rule()
    def close_ticket(self) -> None:
        self.queue.close_ticket(self.model.tickets.pop(0).ticket)

    @rule()
    def clear(self) -> None:
        assert self.queue.clear() == self.model.everything
        for event in self.model.everything:
            self.model.settle(event, delivered=False)
        self.model.frozen.clear()
        self.model.pending.clear()

    @invariant()
    def is_as_the_model_says(self) -> None:
        model = self.model
        assert len(self.queue) == len(model.everything) <= self.MAX_EVENTS
        assert sum(map(len, model.everything)) <= self.MAX_BYTES
        assert self.queue.pending == len(model.pending)
        assert self.queue.pending_bytes == sum(map(len, model.pending))
        assert self.queue.front == (model.frozen[0] if model.frozen else None)

    @invariant()
    def events_are_settled_once_and_in_order(self) -> None:
        assert self.seen == sorted(set(self.seen))

    @invariant()
    def tickets_count_every_event_once(self) -> None:
        for ticket in self.model.tickets:
            said = ticket.ticket
            assert said.queued == len(ticket.waiting)
            assert (said.delivered, said.lost) == (ticket.delivered, ticket.lost)
            assert said.spooled == ticket.spooled
        awaited = any(ticket.waiting for ticket in self.model.tickets)
        assert self.queue.is_awaited == awaited


QueueMachine.TestCase.settings = settings(max_examples=80, deadline=None)
TestQueueMachine = pytest.mark.timeout(60)(QueueMachine.TestCase)
