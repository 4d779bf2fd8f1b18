"""What happens when the queue is full, and how the server learns of losses."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from headwater import Block, Client, LossReason

if TYPE_CHECKING:
    from packages.sdk.tests.conftest import (
        ClientMaker,
        Complaints,
        MemoryTransport,
        Wait,
    )

QUEUE_FULL = {LossReason.QUEUE_FULL: 1}


def told(transport: MemoryTransport) -> list[Any]:
    return [batch.envelope.client_losses for batch in transport.received.batches]


@pytest.mark.parametrize(
    "overflow, kept, dropped",
    [("drop_oldest", ["c", "d"], ["a", "b"]), ("drop_newest", ["a", "b"], ["c", "d"])],
)
def test_full_queue_drops_by_its_policy(
    make_client: ClientMaker,
    transport: MemoryTransport,
    complaints: Complaints,
    wait: Wait,
    *,
    overflow: str,
    kept: list[str],
    dropped: list[str],
) -> None:
    transport.gate.clear()
    client = make_client(max_queue_size=3, overflow=overflow)
    client.capture("d", "on its way")
    with client._driver._lock:
        client._driver._open_ticket()
    wait(lambda: transport.attempts)
    taken = [client.capture("d", name) for name in "abcd"]
    transport.gate.set()
    client.flush()
    assert transport.received.events == ["on its way", *kept]
    assert complaints.names == [[name] for name in dropped]
    assert client.stats().lost == {LossReason.QUEUE_FULL: 2}
    # One that is dropped later was queued all the same.
    assert [each is not None for each in taken] == [
        overflow == "drop_oldest" or name in kept for name in "abcd"
    ]


def test_block_waits_for_room(
    make_client: ClientMaker, transport: MemoryTransport, wait: Wait
) -> None:
    transport.gate.clear()
    client = make_client(max_queue_size=1, overflow=Block(timeout=10))
    client.capture("d", "first")
    wait(lambda: transport.attempts)
    thread = threading.Thread(target=client.capture, args=("d", "second"))
    thread.start()
    assert client.queue_length == 1
    transport.gate.set()
    thread.join()
    client.flush()
    assert transport.received.events == ["first", "second"]
    assert client.stats().lost == {}


def test_block_gives_up_after_its_time(
    make_client: ClientMaker, transport: MemoryTransport, complaints: Complaints
) -> None:
    transport.gate.clear()
    client = make_client(max_queue_size=1, overflow=Block(timeout=0.05))
    assert client.capture("d", "first")
    begin = time.monotonic()
    assert client.capture("d", "second") is None
    assert time.monotonic() - begin >= 0.05
    assert client.stats().lost == QUEUE_FULL
    assert complaints.names == [["second"]]


def test_block_waits_for_nothing_that_room_would_not_help(
    make_client: ClientMaker, transport: MemoryTransport, complaints: Complaints
) -> None:
    transport.gate.clear()
    client = make_client(max_queue_size=1, overflow=Block(timeout=1000))
    client.capture("d", "first")
    assert client.capture("d", "large", {"x": "y" * 2**20}) is None
    assert complaints.kinds == ["EventTooLargeError"]


def test_block_does_not_hold_up_those_who_send(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    client: Client = make_client(
        max_queue_size=1,
        overflow=Block(timeout=1000),
        on_error=lambda *_: client.capture("d", "from on_error"),
    )
    transport.answer(400)
    transport.gate.clear()
    client.capture("d", "refused")
    thread = threading.Thread(target=client.capture, args=("d", "waits for room"))
    thread.start()
    transport.gate.set()
    thread.join(10)
    assert not thread.is_alive()


def test_closing_ends_the_wait_for_room(
    make_client: ClientMaker, transport: MemoryTransport, wait: Wait
) -> None:
    transport.gate.clear()
    client = make_client(max_queue_size=1, overflow=Block(timeout=1000))
    client.capture("d", "first")
    thread = threading.Thread(target=client.capture, args=("d", "second"))
    thread.start()
    wait(lambda: transport.attempts)
    client.shutdown(0.01)
    thread.join(10)
    assert not thread.is_alive()
    assert client.stats().lost == {LossReason.CLOSED: 1, LossReason.UNDELIVERED: 1}


def test_next_batch_tells_of_losses_once(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    client = make_client(before_send=lambda e: None if e["event"] == "no" else e)
    client.capture("", "invalid")
    client.capture("d", "no")
    client.capture("d", "no")
    client.capture("d", "large", {"x": "y" * 2**20})
    for name in ("a", "b"):
        client.capture("d", name)
        client.flush()
    losses = {"invalid_event": 1, "before_send": 2, "event_too_large": 1}
    assert told(transport) == [losses, None]


@pytest.mark.usefixtures("_no_backoff")
def test_batch_that_is_sent_again_tells_the_same(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    transport.answer(503)
    client = make_client()
    client.capture("", "invalid")
    client.capture("d", "a")
    client.flush()
    assert told(transport) == [{"invalid_event": 1}] * 2
    assert len(set(transport.received.batch_ids)) == 1


def test_losses_that_a_refused_batch_told_of_are_told_by_the_next(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    transport.answer(400)
    client = make_client()
    client.capture("", "invalid")
    client.capture("d", "refused")
    client.flush()
    client.capture("d", "good")
    client.flush()
    # What the server has refused it has counted itself.
    assert told(transport) == [{"invalid_event": 1}] * 2
    assert client.stats().lost == {
        LossReason.INVALID_EVENT: 1,
        LossReason.BATCH_REFUSED: 1,
    }


def test_first_half_of_a_batch_tells_for_both(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    transport.answer(413)
    client = make_client()
    client.capture("", "invalid")
    client.capture("d", "a")
    client.capture("d", "b")
    client.flush()
    assert told(transport)[1:] == [{"invalid_event": 1}, None]
