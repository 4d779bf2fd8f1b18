"""What an application may rely on, through the public seam and without a network."""

from __future__ import annotations

import gc
import itertools
import logging
import signal
import threading
import time
import weakref
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from headwater import (
    Client,
    ClosedError,
    FlushResult,
    InvalidEventError,
    LossReason,
    PropertyRefusedError,
    Request,
    Response,
    Stats,
    UndeliveredError,
)
from headwater_schema.outcomes import Reason

if TYPE_CHECKING:
    from packages.sdk.tests.conftest import (
        ClientMaker,
        Complaints,
        MemoryTransport,
        Senders,
        Wait,
    )


def settled(delivered: int = 0, lost: int = 0) -> FlushResult:
    return FlushResult(delivered=delivered, lost=lost, queued=0, timed_out=False)


def test_capture_returns_the_id_under_which_the_event_is_sent(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    client = make_client()
    event_id = client.capture("user-1", "bought", {"a": 1}, groups={"company": "acme"})
    assert client.flush() == settled(delivered=1)
    [batch] = transport.received.batches
    [event] = batch.events
    assert str(event.event_id) == event_id
    assert (event.event, event.distinct_id) == ("bought", "user-1")
    assert (event.properties, event.groups) == ({"a": 1}, {"company": "acme"})


def test_event_carries_the_time_of_its_capture(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    client = make_client()
    before = time.time_ns() // 1_000_000
    client.capture("d", "now")
    after = time.time_ns() // 1_000_000
    client.capture("d", "then", timestamp=datetime(2026, 1, 1, tzinfo=UTC))
    client.flush()
    now, then = transport.received.batches[0].events
    assert isinstance(now.timestamp, int)
    assert before <= now.timestamp <= after
    assert then.timestamp == 1_767_225_600_000


def test_event_id_of_the_application_is_used(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    event_id = "0190a5b4-7c31-7d31-8f2e-111111111111"
    client = make_client()
    assert client.capture("d", "e", event_id=event_id) == event_id
    client.flush()
    assert str(transport.received.batches[0].events[0].event_id) == event_id


def test_wire_form_of_a_batch_is_frozen(
    make_client: ClientMaker,
    transport: MemoryTransport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bodies = []

    def keep(request: Request) -> Response:
        bodies.append(request.body)
        return Response(200, {}, b'{"success":true,"data":{}}')

    event_id = "0190a5b4-7c31-7d31-8f2e-111111111111"
    monkeypatch.setattr("headwater._driver.new_batch_id", lambda: event_id)
    monkeypatch.setattr("time.time_ns", lambda: 1_767_225_600_123_456_789)
    monkeypatch.setattr(transport, "send", keep)
    client = make_client()
    client.capture("d", "first", {"a": 1}, groups={"g": "k"}, event_id=event_id)
    client.capture("d", "second", event_id=event_id)
    client.flush()
    assert bodies[0] == (
        b'{"batch_id":"0190a5b4-7c31-7d31-8f2e-111111111111",'
        b'"sent_at":1767225600123,'
        b'"sdk":{"name":"headwater-python","version":"0.1.0"},"events":['
        b'{"event":"first","distinct_id":"d",'
        b'"event_id":"0190a5b4-7c31-7d31-8f2e-111111111111",'
        b'"timestamp":1767225600123,"properties":{"a":1},"groups":{"g":"k"}},'
        b'{"event":"second","distinct_id":"d",'
        b'"event_id":"0190a5b4-7c31-7d31-8f2e-111111111111",'
        b'"timestamp":1767225600123}]}'
    )


def test_changing_the_properties_after_capture_changes_nothing(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    properties: dict[str, Any] = {"list": [1]}
    client = make_client()
    client.capture("d", "e", properties)
    properties["list"].append(2)
    properties["more"] = True
    client.flush()
    assert transport.received.batches[0].events[0].properties == {"list": [1]}


def test_people_and_groups_are_stated_in_the_reserved_events(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    client = make_client()
    assert client.identify("u", {"plan": "pro"}, set_once={"first": 1})
    assert client.identify("u")
    assert client.group_identify("company", 7, {"seats": 5})
    assert client.group_identify("company", "acme")
    assert client.alias("u", 17)
    client.flush()
    events = transport.received.batches[0].events
    assert [(event.event, event.distinct_id, event.properties) for event in events] == [
        ("$identify", "u", {"$set": {"plan": "pro"}, "$set_once": {"first": 1}}),
        ("$identify", "u", {}),
        (
            "$groupidentify",
            "7",
            {"$group_type": "company", "$group_key": "7", "$group_set": {"seats": 5}},
        ),
        (
            "$groupidentify",
            "acme",
            {"$group_type": "company", "$group_key": "acme", "$group_set": {}},
        ),
        ("$create_alias", "u", {"alias": "17"}),
    ]


def test_enough_events_are_sent_without_waiting(
    make_client: ClientMaker, transport: MemoryTransport, wait: Wait
) -> None:
    client = make_client(flush_at=10)
    for _ in range(10):
        client.capture("d", "e")
    wait(lambda: client.stats().delivered == 10)
    assert transport.received.names == [["e"] * 10]


def test_few_events_are_sent_after_the_interval(
    make_client: ClientMaker, transport: MemoryTransport, wait: Wait
) -> None:
    client = make_client(flush_interval=0.02)
    client.capture("d", "first")
    wait(lambda: client.stats().delivered == 1)
    client.capture("d", "second")
    wait(lambda: client.stats().delivered == 2)
    assert transport.received.names == [["first"], ["second"]]


def test_backlog_goes_in_capped_batches_in_order(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    transport.gate.clear()
    client = make_client(max_batch_events=40, flush_at=1000)
    for number in range(100):
        client.capture("d", str(number))
    assert client.queue_length == 100
    transport.gate.set()
    assert client.flush().queued == 0
    assert [len(names) for names in transport.received.names] == [40, 40, 20]
    assert transport.received.events == [str(number) for number in range(100)]


def test_batch_stays_within_its_bytes(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    client = make_client(max_batch_bytes=4500, flush_at=1000, compression="none")
    for _ in range(20):
        client.capture("d", "e", {"text": "x" * 1000})
    client.flush()
    assert max(map(len, transport.received.names)) == 3
    assert max(transport.received.sizes) <= 4500


def test_flush_says_what_became_of_the_events(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    transport.answer(
        200,
        b'{"success":true,"data":{"accepted":1,"results":'
        b'{"#1":{"outcome":"dropped","reason":"throttle"}}}}',
    )
    client = make_client()
    client.capture("d", "a")
    client.capture("d", "b")
    assert client.flush() == settled(delivered=1, lost=1)
    assert client.flush() == settled()


def test_flush_ends_when_its_time_is_up(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    transport.gate.clear()
    client = make_client()
    client.capture("d", "e")
    assert client.flush(0.01) == FlushResult(0, 0, 1, timed_out=True)
    assert client.flush(float("nan")) == FlushResult(0, 0, 1, timed_out=True)
    assert client.flush(-1) == FlushResult(0, 0, 1, timed_out=True)
    transport.gate.set()
    assert client.flush(10**12) == settled(delivered=1)


@pytest.mark.usefixtures("_no_backoff")
def test_flush_without_timeout_ends_when_delivery_has_failed(
    make_client: ClientMaker, transport: MemoryTransport, complaints: Complaints
) -> None:
    transport.fail(3)
    client = make_client(max_retries=2)
    client.capture("d", "e")
    assert client.flush() == FlushResult(0, 0, 1, timed_out=False)
    assert complaints.kinds == ["UnavailableError"]
    assert complaints.names == [["e"]]
    assert client.flush() == settled(delivered=1)


@pytest.mark.usefixtures("_no_backoff")
def test_flush_with_timeout_goes_on_through_failures(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    transport.fail(7)
    client = make_client(max_retries=2, flush_interval=0.01)
    client.capture("d", "e")
    assert client.flush(10) == settled(delivered=1)


def test_flush_counts_only_what_was_queued_before(
    make_client: ClientMaker, transport: MemoryTransport, wait: Wait
) -> None:
    transport.gate.clear()
    client = make_client()
    client.capture("d", "before")
    results = []
    thread = threading.Thread(target=lambda: results.append(client.flush()))
    thread.start()
    wait(lambda: transport.attempts)
    client.capture("d", "after")
    transport.gate.set()
    thread.join()
    assert results == [settled(delivered=1)]
    assert client.queue_length == 1


def test_many_threads_may_capture_and_flush(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    client = make_client(flush_at=7, max_batch_events=20)

    def work(worker: int) -> None:
        for number in range(100):
            client.capture("d", f"{worker}-{number}")
            if number % 10 == 0:
                assert client.flush().queued == 0

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.flush().queued == 0
    events = transport.received.events
    assert len(events) == len(set(events)) == 600
    for worker in range(6):
        mine = [name for name in events if name.startswith(f"{worker}-")]
        assert mine == [f"{worker}-{number}" for number in range(100)]


def test_flush_inside_on_error_does_not_wait_for_itself(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    results: list[FlushResult] = []
    transport.answer(400)
    transport.gate.clear()
    client: Client = make_client(
        max_batch_events=1, on_error=lambda *_: results.append(client.flush())
    )
    client.capture("d", "refused")
    client.capture("d", "waiting")
    transport.gate.set()
    client.flush()
    assert results == [FlushResult(0, 0, 1, timed_out=True)]


def test_shutdown_inside_on_error_does_not_wait_for_itself(
    make_client: ClientMaker, transport: MemoryTransport, wait: Wait
) -> None:
    transport.answer(400)
    client: Client = make_client(flush_at=1, on_error=lambda *_: client.shutdown())
    client.capture("d", "refused")
    wait(lambda: transport.is_closed)
    assert client.capture("d", "e") is None


def test_leaving_the_context_delivers_everything(
    transport: MemoryTransport, senders: Senders
) -> None:
    with Client("key", "http://localhost", transport=transport) as client:
        client.capture("d", "e")
    assert transport.received.events == ["e"]
    assert transport.is_closed
    assert senders() == []


def test_shutdown_may_be_called_twice(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    client = make_client()
    client.capture("d", "e")
    assert client.shutdown() == settled(delivered=1)
    assert client.shutdown() == settled()
    assert client.flush() == settled()
    assert transport.received.events == ["e"]
    assert transport.closed == 1


def test_shutdown_of_a_client_that_never_captured_starts_nothing(
    make_client: ClientMaker, transport: MemoryTransport, senders: Senders
) -> None:
    client = make_client()
    assert client.flush() == settled()
    assert senders() == []
    assert client.shutdown() == settled()
    assert transport.is_closed


def test_capture_after_shutdown_is_harmless_and_reported(
    make_client: ClientMaker, complaints: Complaints
) -> None:
    client = make_client()
    client.shutdown()
    assert client.capture("d", "late") is None
    assert client.queue_length == 0
    [error] = complaints.errors
    assert isinstance(error, ClosedError)
    assert complaints.names == [["late"]]
    assert client.stats().lost == {LossReason.CLOSED: 1}


def test_shutdown_reports_what_it_could_not_deliver(
    make_client: ClientMaker,
    transport: MemoryTransport,
    complaints: Complaints,
    wait: Wait,
) -> None:
    transport.gate.clear()
    client = make_client()
    client.capture("d", "a")
    client.capture("d", "b")
    assert client.shutdown(0.01) == FlushResult(0, 2, 0, timed_out=True)
    [error] = complaints.errors
    assert isinstance(error, UndeliveredError)
    assert complaints.names == [["a", "b"]]
    transport.gate.set()
    wait(lambda: transport.is_closed)
    assert client.stats().lost == {LossReason.UNDELIVERED: 2}
    assert client.stats().delivered == 0


@pytest.mark.usefixtures("_no_backoff")
def test_shutdown_does_not_wait_for_a_server_that_is_away(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    transport.fail(99)
    client = make_client(max_retries=2)
    client.capture("d", "e")
    assert client.shutdown() == FlushResult(0, 1, 0, timed_out=False)


@pytest.mark.usefixtures("_no_backoff")
def test_shutdown_with_timeout_goes_on_through_failures(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    transport.fail(7)
    client = make_client(max_retries=2, flush_interval=0.01)
    client.capture("d", "e")
    assert client.shutdown(10) == settled(delivered=1)


def test_full_queue_drops_the_oldest_that_is_not_on_its_way(
    make_client: ClientMaker,
    transport: MemoryTransport,
    complaints: Complaints,
    wait: Wait,
) -> None:
    transport.gate.clear()
    client = make_client(max_queue_size=2, flush_at=1)
    client.capture("d", "on its way")
    wait(lambda: transport.attempts)
    client.capture("d", "oldest")
    assert client.capture("d", "newest") is not None
    assert complaints.kinds == ["QueueFullError"]
    assert complaints.names == [["oldest"]]
    assert client.queue_length == 2
    transport.gate.set()
    client.flush()
    assert transport.received.events == ["on its way", "newest"]


def test_event_is_refused_when_those_on_their_way_fill_the_queue(
    make_client: ClientMaker,
    transport: MemoryTransport,
    complaints: Complaints,
    wait: Wait,
) -> None:
    transport.gate.clear()
    client = make_client(max_queue_size=1)
    client.capture("d", "on its way")
    wait(lambda: transport.attempts)
    assert client.capture("d", "newest") is None
    assert complaints.names == [["newest"]]


def test_invalid_event_is_not_queued_and_reported(
    make_client: ClientMaker, complaints: Complaints
) -> None:
    client = make_client()
    assert client.capture("", "e") is None
    assert client.capture("d", None) is None
    assert client.identify("d", [1]) is None  # type: ignore[arg-type] # on purpose
    assert client.alias("d", "") is None
    assert client.group_identify("", "k") is None
    assert [type(error) for error in complaints.errors] == [InvalidEventError] * 5
    assert client.stats() == Stats(5, 0, 0, {LossReason.INVALID_EVENT: 5}, 0)


def test_property_that_cannot_be_sent_costs_only_itself_and_is_reported(
    make_client: ClientMaker, transport: MemoryTransport, complaints: Complaints
) -> None:
    client = make_client()
    assert client.capture("d", "e", {"good": 1, "bad": object()}) is not None
    client.flush()
    assert transport.received.batches[0].events[0].properties == {"good": 1}
    [error] = complaints.errors
    assert isinstance(error, PropertyRefusedError)
    assert list(error.refused) == ["bad"]
    assert complaints.names == [["e"]]
    assert client.stats() == Stats(1, 1, 0, {}, 1)


def test_event_over_the_limit_is_refused_with_its_size(
    make_client: ClientMaker, complaints: Complaints
) -> None:
    client = make_client()
    assert client.capture("d", "e", {"text": "x" * 1024 * 1024}) is None
    assert complaints.kinds == ["EventTooLargeError"]
    assert "bytes" in str(complaints.errors[0])


def test_hostile_object_raises_nothing_into_the_application(
    make_client: ClientMaker, complaints: Complaints
) -> None:
    class Hostile:
        def __str__(self) -> str:
            raise ZeroDivisionError

        __repr__ = __str__
        __hash__ = None  # type: ignore[assignment] # hostile

    client = make_client()
    assert client.capture("d", "e", event_id=Hostile()) is None  # type: ignore[call-overload] # on purpose
    assert complaints.kinds == ["InvalidEventError"]


def test_exception_in_on_error_goes_no_further(
    make_client: ClientMaker, caplog: pytest.LogCaptureFixture
) -> None:
    def complain(*_: object) -> None:
        raise ZeroDivisionError

    client = make_client(on_error=complain)
    assert client.capture("", "e") is None
    assert client.capture("", "e") is None
    messages = [record.message for record in caplog.records]
    assert messages.count("on_error has raised") == 1


def test_exit_called_in_on_error_does_not_end_the_sending_thread(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    def complain(*_: object) -> None:
        raise SystemExit

    transport.answer(400)
    client = make_client(on_error=complain)
    client.capture("d", "refused")
    client.flush()
    client.capture("d", "e")
    assert client.flush() == settled(delivered=1)


def test_fault_in_on_error_is_counted_but_not_reported_to_itself(
    make_client: ClientMaker,
) -> None:
    calls = []

    def complain(*_: object) -> None:
        calls.append(1)
        client.capture("", "again")

    client = make_client(on_error=complain)
    client.capture("", "e")
    assert calls == [1]
    assert client.stats().lost == {LossReason.INVALID_EVENT: 2}


def test_faults_are_logged_once_per_kind(
    make_client: ClientMaker, caplog: pytest.LogCaptureFixture
) -> None:
    client = make_client(on_error=None)
    for _ in range(3):
        client.capture("", "e")
        client.capture("d", "e", {"bad": object()})
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert {record.name for record in caplog.records} == {"headwater"}


def test_refusals_are_told_apart_by_the_code_of_the_server(
    make_client: ClientMaker,
    transport: MemoryTransport,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = make_client()
    for status in (400, 401, 401):
        transport.answer(status)
        client.capture("d", "e")
        client.flush()
    for reason in (Reason.THROTTLE, Reason.BLOCK, Reason.BLOCK):
        result = b'{"#0":{"outcome":"dropped","reason":"%b"}}' % reason.encode()
        transport.answer(200, b'{"success":true,"data":{"results":%b}}' % result)
        client.capture("d", "e")
        client.flush()
    assert len(caplog.records) == 4


@pytest.mark.usefixtures("_no_backoff")
def test_outage_and_recovery_are_logged_each_time(
    make_client: ClientMaker,
    transport: MemoryTransport,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "headwater")
    client = make_client(max_retries=0, flush_interval=0.01)
    for _ in range(2):
        transport.fail(2)
        client.capture("d", "e")
        assert client.flush(10).delivered == 1
    levels = [record.levelname for record in caplog.records]
    assert levels == ["WARNING", "INFO", "WARNING", "INFO"]


@pytest.mark.usefixtures("_no_backoff")
def test_time_of_sending_is_new_on_every_attempt(
    make_client: ClientMaker,
    transport: MemoryTransport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    transport.answer(500)
    client = make_client()
    client.capture("d", "e")
    monkeypatch.setattr("time.time_ns", itertools.count(10**18, 10**9).__next__)
    assert client.flush(10) == settled(delivered=1)
    first, second = transport.received.batches
    assert first.envelope.sent_at != second.envelope.sent_at
    assert first.envelope.batch_id == second.envelope.batch_id
    assert first.events == second.events


@pytest.mark.usefixtures("_no_backoff")
def test_transport_that_raises_anything_counts_as_away(
    make_client: ClientMaker, transport: MemoryTransport, complaints: Complaints
) -> None:
    transport.script.extend([ZeroDivisionError("oops")])
    client = make_client(max_retries=0)
    client.capture("d", "e")
    assert client.flush().queued == 1
    assert "ZeroDivisionError: oops" in str(complaints.errors[0])
    assert client.flush() == settled(delivered=1)


def test_transport_that_cannot_be_closed_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Stuck:
        def send(self, request: Request) -> Response:
            raise NotImplementedError

        def close(self) -> None:
            raise OSError

    Client("key", "http://localhost", transport=Stuck()).shutdown()
    assert [record.message for record in caplog.records] == [
        "the transport cannot be closed"
    ]


def test_thread_that_cannot_start_costs_no_event(
    make_client: ClientMaker,
    transport: MemoryTransport,
    complaints: Complaints,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    client = make_client()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert client.capture("d", "a") is not None
        assert client.flush() == FlushResult(0, 0, 1, timed_out=False)
    assert complaints.kinds == ["UnavailableError"]
    assert client.capture("d", "b") is not None
    assert client.flush() == settled(delivered=2)
    assert transport.received.events == ["a", "b"]


def test_capture_by_a_signal_handler_does_not_start_a_second_thread(
    make_client: ClientMaker,
    transport: MemoryTransport,
    monkeypatch: pytest.MonkeyPatch,
    senders: Senders,
) -> None:
    make_thread = threading.Thread
    interruptions: list[str | None] = []

    def be_interrupted(**options: Any) -> threading.Thread:
        if not interruptions:
            interruptions.append("now")
            client.capture("d", "by the handler")
        return make_thread(**options)

    client = make_client()
    with monkeypatch.context() as patch:
        patch.setattr(threading, "Thread", be_interrupted)
        client.capture("d", "first")
    assert len(senders()) == 1
    assert client.flush() == settled(delivered=2)
    assert transport.received.events == ["first", "by the handler"]


def test_dropped_client_delivers_and_leaves_no_thread(
    transport: MemoryTransport, wait: Wait, senders: Senders
) -> None:
    client = Client("key", "http://localhost", transport=transport)
    client.capture("d", "e")
    [mine] = senders()
    reference = weakref.ref(client)
    del client
    gc.collect()
    assert reference() is None
    wait(lambda: transport.is_closed and not mine.is_alive())
    assert transport.received.events == ["e"]


@pytest.mark.usefixtures("_no_backoff")
def test_dropped_client_gives_up_when_the_server_is_away(
    transport: MemoryTransport, complaints: Complaints, wait: Wait, senders: Senders
) -> None:
    transport.fail(99)
    client = Client("key", "http://localhost", transport=transport, on_error=complaints)
    client.capture("d", "e")
    [mine] = senders()
    del client
    gc.collect()
    wait(lambda: not mine.is_alive())
    assert complaints.kinds == ["UnavailableError", "UndeliveredError"]


def test_hundreds_of_dropped_clients_leak_no_threads(
    wait: Wait, senders: Senders
) -> None:
    for _ in range(300):
        Client("key", "http://localhost", transport=Swallow()).capture("d", "e")
    gc.collect()
    wait(lambda: not senders())


def test_signal_handler_may_capture_while_a_capture_is_interrupted(
    make_client: ClientMaker,
) -> None:
    client = make_client(max_queue_size=100_000)
    signals = []

    def handle(*_: object) -> None:
        signals.append(client.capture("d", "from the handler"))

    previous = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        captured = 0
        while len(signals) < 20:
            captured += client.capture("d", "e") is not None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert client.shutdown().queued == 0
    assert client.stats().delivered == captured + len(signals)


class Swallow:
    """Takes everything."""

    def send(self, request: Request) -> Response:
        return Response(200, {}, b'{"success":true,"data":{}}')

    def close(self) -> None:
        """Has nothing to close."""
