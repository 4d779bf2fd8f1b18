"""The transport and the server for tests take events as Headwater does."""

from __future__ import annotations

import urllib.error
import urllib.request

import msgspec
import pytest

from headwater import Client, Request, TransportError
from headwater.testing import FakeServer, MemoryTransport
from headwater_schema.batch import Answer
from headwater_schema.codec import decode_answer, decode_error

KEY = {"X-Headwater-Key": "key"}
ID = "0193a4e0-0000-7000-8000-000000000001"


def request(*events: object, **headers: str) -> Request:
    return Request({**KEY, **headers}, msgspec.json.encode({"events": events}))


def send(transport: MemoryTransport, *events: object) -> Answer:
    return decode_answer(transport.send(request(*events)).body)


def test_transport_keeps_what_a_client_sends() -> None:
    transport = MemoryTransport()
    with Client("key", "http://localhost", transport=transport) as client:
        client.capture("user-1", "tested", {"big": "x" * 5000})
    assert [event.event for event in transport.events] == ["tested"]
    assert transport.is_closed


def test_network_that_fails_costs_nothing() -> None:
    transport = MemoryTransport()
    transport.fail(2)
    with pytest.raises(TransportError):
        transport.send(request())
    with Client("key", "http://localhost", transport=transport) as client:
        client.capture("user-1", "tested")
        client.flush(timeout=10)
    assert len(transport.events) == 1
    assert transport.inbox.requests == 3


def test_repeated_event_is_taken_once_and_said_to_be_a_duplicate() -> None:
    transport = MemoryTransport()
    event = {"event": "a", "distinct_id": "b", "event_id": ID}
    assert send(transport, event).data.accepted == 1
    assert send(transport, event, event).data.duplicates == 2
    assert len(transport.events) == 1
    assert transport.inbox.repeats == 2


def test_event_that_cannot_be_understood_is_refused_with_the_reason() -> None:
    transport = MemoryTransport()
    answer = send(transport, {"event": "a", "distinct_id": "b"}, {"event": 7})
    assert answer.data.accepted == 1
    assert answer.data.invalid == 1
    assert answer.data.results["#1"].outcome == "invalid"


def test_events_without_id_and_time_are_taken() -> None:
    transport = MemoryTransport()
    send(transport, {"event": "a", "distinct_id": "b"})
    (event,) = transport.events
    assert event.timestamp is None
    assert event.event_id


@pytest.mark.parametrize(
    "body, headers, status, code",
    [
        (b"{", KEY, 400, "malformed_body"),
        (b"\x1f\x8bno gzip", KEY, 400, "malformed_body"),
        (b'{"events":[]}', {}, 401, "missing_key"),
    ],
)
def test_request_that_headwater_would_refuse_is_refused(
    body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = MemoryTransport().send(Request(headers, body))
    assert answer.status == status
    assert decode_error(answer.body).code == code


def test_server_takes_what_a_client_sends() -> None:
    with FakeServer() as server:
        server.inbox.answer(503, retry_after="0")
        with Client("key", server.url) as client:
            client.capture("user-1", "tested", {"big": "x" * 5000})
        assert [event.event for event in server.wait_for(1)] == ["tested"]
        assert server.inbox.requests == 2


def test_server_says_what_has_not_come() -> None:
    with FakeServer() as server:
        with pytest.raises(AssertionError, match="only 0 of 1 events came"):
            server.wait_for(1, timeout=0)
        server.inbox.fail(TransportError("cut"))
        with pytest.raises((urllib.error.URLError, OSError)):
            urllib.request.urlopen(server.url, b"{}", timeout=5)


def test_closed_server_refuses_connections() -> None:
    server = FakeServer()
    server.close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(server.url, b"{}", timeout=5)
