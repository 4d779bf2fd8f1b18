"""What goes to the spool and comes back: nothing lost, nothing settled twice."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from headwater import (
    AsyncClient,
    Client,
    FlushResult,
    LossReason,
    Request,
    Response,
    TransportError,
    UndeliveredError,
)
from headwater._batch import FrozenBatch
from headwater._delivery import Delivery
from headwater._settings import Settings
from headwater._spool_port import SpooledBatch
from headwater._spooling import NOBODYS
from headwater._verdict import Refused, Taken, TryAgain, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from packages.sdk.tests.conftest import (
        ClientMaker,
        Complaints,
        MemoryTransport,
        ScriptedServer,
        Wait,
    )

AWAY = TryAgain("refused")
TAKEN = Taken({})
WRONG_KEY = Refused(401, "unknown_key", "", is_too_large=False)
TOO_LARGE = Refused(413, "too_large", "", is_too_large=True)


class MemorySpool:
    """A spool in memory that several clients may share.

    Attributes:
        room: How many batches it can hold.
    """

    def __init__(self, room: int = 10**9) -> None:
        self.room = room
        self.batches: dict[str, SpooledBatch] = {}
        self.taken: set[str] = set()
        self.is_closed = False

    def keep(self, batches: Sequence[SpooledBatch]) -> Collection[str]:
        refused = []
        for batch in batches:
            if batch.batch_id in self.batches or len(self.batches) < self.room:
                self.batches[batch.batch_id] = batch
                self.taken.discard(batch.batch_id)
            else:
                refused.append(batch.batch_id)
        return refused

    def take(self, limit: int) -> Sequence[SpooledBatch]:
        free = [each for key, each in self.batches.items() if key not in self.taken]
        self.taken.update(each.batch_id for each in free[:limit])
        return free[:limit]

    def done(self, ids: Collection[str]) -> None:
        for each in ids:
            self.batches.pop(each, None)
            self.taken.discard(each)

    def close(self) -> None:
        self.taken.clear()
        self.is_closed = True

    @property
    def names(self) -> list[str]:
        return [
            msgspec.json.decode(event)["event"]
            for batch in self.batches.values()
            for event in batch.events
        ]


def left_by_another(*names: str, historical: bool = False) -> MemorySpool:
    """Returns a spool with one batch for each event that a former process has left."""
    spool = MemorySpool()
    for name in names:
        event = {"event": name, "distinct_id": "d", "event_id": str(len(spool.batches))}
        batch_id = f"00000000-0000-7000-8000-{len(spool.batches):012}"
        event["event_id"] = batch_id
        encoded = (msgspec.json.encode(event),)
        spool.keep([SpooledBatch(batch_id, encoded, historical)])
    return spool


def test_what_cannot_be_delivered_at_shutdown_is_kept(
    make_client: ClientMaker, transport: MemoryTransport, complaints: Complaints
) -> None:
    spool = MemorySpool()
    transport.fail(99)
    client = make_client(spool=spool, max_batch_events=2)
    for name in "abc":
        client.capture("d", name)
    assert client.shutdown(0.05) == FlushResult(0, 0, 0, timed_out=True, spooled=3)
    assert spool.names == ["a", "b", "c"]
    assert spool.is_closed
    stats = client.stats()
    assert (stats.spooled, stats.queued, stats.lost) == (3, 0, {})
    assert "UndeliveredError" not in complaints.kinds


def test_next_client_sends_it_under_the_same_ids_oldest_first(
    make_client: ClientMaker, transport: MemoryTransport, wait: Wait
) -> None:
    spool = left_by_another("a", "b", "c", "d", "e", "f", historical=True)
    ids = list(spool.batches)
    client = make_client(spool=spool)
    wait(lambda: not spool.batches)
    assert transport.received.events == ["a", "b", "c", "d", "e", "f"]
    assert transport.received.batch_ids == ids
    assert all(batch.envelope.historical for batch in transport.received.batches)
    stats = client.stats()
    assert (stats.restored, stats.delivered, stats.captured) == (6, 6, 0)


def test_batch_that_the_server_refuses_is_forgotten_and_counted(
    make_client: ClientMaker, transport: MemoryTransport, wait: Wait
) -> None:
    transport.answer(400)
    spool = left_by_another("a", "b")
    client = make_client(spool=spool)
    wait(lambda: not spool.batches)
    assert transport.received.events == ["a", "b"]
    assert client.stats().lost == {LossReason.BATCH_REFUSED: 1}


@pytest.mark.usefixtures("_no_backoff")
def test_outage_that_lasts_goes_to_disk_and_comes_back(
    make_client: ClientMaker, transport: MemoryTransport, wait: Wait
) -> None:
    spool = MemorySpool()
    transport.fail(3)
    client = make_client(
        spool=spool, max_retries=2, flush_at=2, max_queue_size=4, flush_interval=0.5
    )
    for number in range(2):
        client.capture("d", str(number))
    wait(lambda: spool.names == ["0", "1"])
    for number in range(2, 12):
        client.capture("d", str(number))
        wait(lambda: client.queue_length < 4)
    wait(lambda: client.stats().delivered == 12)
    wait(lambda: not spool.batches)
    assert sorted(transport.received.events, key=int) == [str(n) for n in range(12)]
    assert client.stats().lost == {}


def test_spool_without_room_leaves_events_in_memory_and_then_gives_them_up(
    make_client: ClientMaker, transport: MemoryTransport, complaints: Complaints
) -> None:
    transport.fail(99)
    spool = MemorySpool(room=1)
    client = make_client(spool=spool, max_batch_events=1)
    for name in "abc":
        client.capture("d", name)
    assert client.shutdown(0.05) == FlushResult(0, 2, 0, timed_out=True, spooled=1)
    assert spool.names == ["a"]
    assert isinstance(complaints.errors[-1], UndeliveredError)
    assert client.stats().lost == {LossReason.UNDELIVERED: 2}


def test_dropped_client_leaves_its_events_to_the_spool(
    transport: MemoryTransport, wait: Wait
) -> None:
    transport.fail(99)
    spool = MemorySpool()
    Client(
        "key",
        "http://localhost",
        spool=spool,
        transport=transport,
        max_retries=0,
    ).capture("d", "e")
    wait(lambda: spool.is_closed)
    assert spool.names == ["e"]


def test_asyncio_has_the_same(transport: MemoryTransport) -> None:
    class Carrier:
        is_away = True

        async def send(self, request: Request) -> Response:
            if self.is_away:
                raise TransportError("away")
            return transport.send(request)

        async def close(self) -> None:
            pass

    spool = left_by_another("first")
    carrier = Carrier()

    async def main() -> None:
        client = AsyncClient("key", "http://h", spool=spool, transport=carrier)
        client.capture("d", "second")
        result = await client.shutdown(0.05)
        assert (result.spooled, result.lost) == (1, 0)
        carrier.is_away = False
        async with AsyncClient("key", "http://h", spool=spool, transport=carrier):
            while spool.batches:  # noqa: ASYNC110 - there is nothing that would tell
                await asyncio.sleep(0.01)

    asyncio.run(main())
    assert transport.received.events == ["first", "second"]


def test_path_makes_a_file_for_the_next_process(
    server: ScriptedServer, tmp_path: Path, wait: Wait
) -> None:
    path = tmp_path / "events.db"
    server.stop()
    client = Client("key", server.url, spool=path)
    client.capture("d", "a")
    assert client.shutdown(0.1).spooled == 1
    assert path.exists()
    server.start()
    with Client("other-key", server.url, spool=path) as client:
        client.capture("d", "b")
    with Client("key", server.url, spool=path) as client:
        wait(lambda: client.stats().delivered == 1)
    # The first client may have had a request under way when it was shut down: that is
    # the same batch to the server.
    arrived = dict(zip(server.received.batch_ids, server.received.names, strict=True))
    assert sorted(arrived.values()) == [["a"], ["b"]]


class SpoolingMachine(RuleBasedStateMachine):
    """Whatever server, disk and process do, every event is settled once at most."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = count()
        self.ids = count()
        self.now = 0.0
        self.spool = MemorySpool(room=8)
        self.captured: set[bytes] = set()
        self.stored: dict[str, tuple[bytes, ...]] = {}
        self.lost: list[bytes] = []
        self.start()

    def start(self) -> None:
        options: dict[str, Any] = {"flush_at": 2, "max_batch_events": 3}
        self.state = Delivery(
            Settings(
                write_key="k",
                host="http://h",
                max_queue_size=8,
                max_retries=1,
                spool=self.spool,
                **options,
            ),
            new_batch_id=lambda: f"batch {next(self.ids)}",
            random=lambda: 0.0,
        )

    def note(self, reports: Sequence[Any]) -> None:
        for report in reports:
            if hasattr(report.error, "reason"):
                self.lost.extend(report.events)

    @rule(events=st.integers(1, 4))
    def capture(self, events: int) -> None:
        for _ in range(events):
            number = next(self.numbers)
            event = msgspec.json.encode({"event_id": f"{number}", "event": "e"})
            self.captured.add(event)
            report = self.state.take(event, self.now)
            self.note([report] if report else [])

    @rule(seconds=st.floats(0, 120))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.state.backlog.spill_wait_s(self.now) == 0)
    @rule()
    def spill(self) -> None:
        self.put_on_disk()

    @precondition(lambda self: self.state.backlog.wants_restore)
    @rule()
    def restore(self) -> None:
        batches = [
            FrozenBatch(each.batch_id, NOBODYS, each.events)
            for each in self.spool.take(2)
        ]
        self.state.restore(batches)

    @precondition(lambda self: self.state.backlog.wait_s(self.now) == 0)
    @rule(verdict=st.sampled_from([TAKEN, TAKEN, AWAY, AWAY, WRONG_KEY, TOO_LARGE]))
    def attempt(self, verdict: Verdict) -> None:
        batch = self.state.backlog.next_batch()
        if verdict is TAKEN:
            self.stored.setdefault(batch.batch_id, batch.events)
        self.note(self.state.conclude(batch, verdict, self.now))
        self.spool.done(self.state.backlog.spooling.take_done())

    @precondition(lambda self: self.state.backlog.wait_s(self.now) == 0)
    @rule()
    def lose_the_answer(self) -> None:
        batch = self.state.backlog.next_batch()
        self.stored.setdefault(batch.batch_id, batch.events)
        self.note(self.state.conclude(batch, AWAY, self.now))

    @rule()
    def end_and_start_again(self) -> None:
        self.state.close()
        self.put_on_disk()
        report = self.state.abandon()
        self.note([report] if report else [])
        assert self.state.queued == 0
        self.check_accounts()
        self.spool.close()
        self.start()

    def put_on_disk(self) -> None:
        batches = self.state.backlog.freeze_all()
        refused = self.spool.keep(
            [SpooledBatch(each.batch_id, each.events) for each in batches]
        )
        self.state.backlog.spooling.is_refusing = bool(refused)
        kept = [each for each in batches if each.batch_id not in refused]
        self.state.leave_to_spool(kept)

    @invariant()
    def check_accounts(self) -> None:
        stats = self.state.stats
        assert stats.captured + stats.restored == (
            stats.delivered + stats.queued + stats.spooled + sum(stats.lost.values())
        )

    @invariant()
    def every_event_is_somewhere(self) -> None:
        backlog = self.state.backlog
        there = {event for events in self.stored.values() for event in events}
        there.update(self.lost)
        there.update(e for b in self.spool.batches.values() for e in b.events)
        there.update(e for b in backlog.queue.frozen for e in b.events)
        there.update(e for b in backlog.spooling.restored for e in b.events)
        there.update(backlog.queue._pending)
        assert there == self.captured

    @invariant()
    def nothing_is_lost_twice(self) -> None:
        assert len(self.lost) == len(set(self.lost))


SpoolingMachine.TestCase.settings = settings(max_examples=80, deadline=None)
TestSpoolingMachine = pytest.mark.timeout(120)(SpoolingMachine.TestCase)
