"""The client against a real HTTP server that misbehaves by script."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

import headwater
from headwater import (
    BatchRefusedError,
    EventRefusedError,
    FlushResult,
    HttpTransport,
    LossReason,
    Request,
    TransportError,
)
from headwater_schema.outcomes import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from packages.sdk.tests.conftest import (
        ClientMaker,
        Complaints,
        ScriptedAnswer,
        ScriptedServer,
        Wait,
    )

    Answering = Callable[..., ScriptedAnswer]

pytestmark = pytest.mark.usefixtures("_no_backoff")


@pytest.fixture
def make_http_client(server: ScriptedServer, make_client: ClientMaker) -> ClientMaker:
    def make(**options: object) -> headwater.Client:
        return make_client(**{"host": server.url, "transport": None, **options})

    return make


def settled(delivered: int = 0, lost: int = 0) -> FlushResult:
    return FlushResult(delivered=delivered, lost=lost, queued=0, timed_out=False)


def test_request_is_what_the_service_expects(
    server: ScriptedServer, make_http_client: ClientMaker
) -> None:
    client = make_http_client(write_key="hw_key")
    client.capture("d", "small")
    client.flush()
    client.capture("d", "large", {"text": "x" * 2000})
    client.flush()
    small, large = server.received.headers
    assert small["x-headwater-key"] == large["x-headwater-key"] == "hw_key"
    assert small["content-type"] == "application/json"
    assert small["user-agent"] == f"headwater-python/{headwater.__version__}"
    assert "content-encoding" not in small
    assert large["content-encoding"] == "gzip"
    assert server.received.names == [["small"], ["large"]]


def test_compression_may_be_turned_off(
    server: ScriptedServer, make_http_client: ClientMaker
) -> None:
    client = make_http_client(compression="none")
    client.capture("d", "large", {"text": "x" * 2000})
    client.flush()
    assert "content-encoding" not in server.received.headers[0]
    assert server.received.sizes[0] > 2000


def test_connection_is_kept(
    server: ScriptedServer, make_http_client: ClientMaker
) -> None:
    client = make_http_client()
    for _ in range(5):
        client.capture("d", "e")
        client.flush()
    assert server.connections == 1


def test_connection_that_the_server_has_closed_is_replaced(
    server: ScriptedServer, make_http_client: ClientMaker
) -> None:
    client = make_http_client()
    for _ in range(2):
        client.capture("d", "e")
        assert client.flush() == settled(delivered=1)
        server.stop()
        server.start()
    assert server.connections == 2


def test_server_down_then_up_gets_everything_once_and_in_order(
    server: ScriptedServer, make_http_client: ClientMaker, complaints: Complaints
) -> None:
    client = make_http_client(max_batch_events=4, flush_interval=0.01, flush_at=4)
    server.stop()
    for number in range(10):
        client.capture("d", str(number))
    assert client.flush().queued == 10
    server.start()
    assert client.flush(10) == settled(delivered=10)
    assert server.received.events == [str(number) for number in range(10)]
    assert set(complaints.kinds) == {"UnavailableError"}
    assert client.stats().lost == {}


def test_client_recovers_by_itself(
    server: ScriptedServer, make_http_client: ClientMaker, wait: Wait
) -> None:
    client = make_http_client(flush_interval=0.01, max_retries=0)
    server.stop()
    client.capture("d", "e")
    wait(lambda: client.stats().queued == 1)
    server.start()
    wait(lambda: client.stats().delivered == 1)
    assert server.received.events == ["e"]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_attempts_repeat_the_batch_but_for_the_time_of_sending(
    status: int,
    server: ScriptedServer,
    make_http_client: ClientMaker,
    scripted: Answering,
) -> None:
    server.script.extend([scripted(status=status)] * 2)
    client = make_http_client()
    client.capture("d", "e")
    assert client.flush() == settled(delivered=1)
    assert server.received.names == [["e"]] * 3
    assert len(set(server.received.batch_ids)) == 1
    ids = {batch.events[0].event_id for batch in server.received.batches}
    assert len(ids) == 1


def test_answer_cut_off_is_asked_for_again(
    server: ScriptedServer, make_http_client: ClientMaker, scripted: Answering
) -> None:
    server.script.append(scripted(cut_at=10))
    client = make_http_client()
    client.capture("d", "e")
    assert client.flush() == settled(delivered=1)
    assert len(set(server.received.batch_ids)) == 1
    assert len(server.received.batches) == 2


def test_server_that_hangs_is_left_after_the_timeout(
    server: ScriptedServer, make_http_client: ClientMaker, scripted: Answering
) -> None:
    server.script.append(scripted(hangs=True))
    client = make_http_client(timeout=0.05)
    client.capture("d", "e")
    assert client.flush() == settled(delivered=1)
    assert len(server.received.batches) == 2


def test_server_that_dribbles_its_answer_is_left_after_the_timeout(
    server: ScriptedServer, make_http_client: ClientMaker, scripted: Answering
) -> None:
    server.script.append(scripted(dribbles=True))
    client = make_http_client(timeout=0.2)
    client.capture("d", "e")
    assert client.flush() == settled(delivered=1)
    assert len(server.received.batches) == 2


def test_retry_after_is_waited_out(
    server: ScriptedServer, make_http_client: ClientMaker, refusing: Answering
) -> None:
    server.script.append(refusing(ErrorCode.THROTTLED, 429, Retry_After="1"))
    client = make_http_client()
    client.capture("d", "e")
    begin = time.monotonic()
    assert client.flush() == settled(delivered=1)
    assert time.monotonic() - begin >= 0.99


def test_capture_goes_on_while_the_server_hangs(
    server: ScriptedServer, make_http_client: ClientMaker, scripted: Answering
) -> None:
    server.script.append(scripted(hangs=True))
    client = make_http_client(flush_at=1, max_queue_size=50)
    begin = time.monotonic()
    for _ in range(500):
        client.capture("d", "e")
    assert time.monotonic() - begin < 5
    assert client.queue_length == 50
    stats = client.stats()
    assert stats.captured == 500
    assert stats.lost == {LossReason.QUEUE_FULL: 450}
    server.stop()


def test_refused_batch_is_reported_with_the_words_of_the_server(
    server: ScriptedServer,
    make_http_client: ClientMaker,
    complaints: Complaints,
    refusing: Answering,
) -> None:
    server.script.append(refusing(ErrorCode.UNKNOWN_KEY, 401))
    client = make_http_client()
    client.capture("d", "refused")
    assert client.flush() == settled(lost=1)
    client.capture("d", "next")
    assert client.flush() == settled(delivered=1)
    [error] = complaints.errors
    assert isinstance(error, BatchRefusedError)
    assert (error.status, error.code, error.message) == (401, "unknown_key", "because")
    assert complaints.names == [["refused"]]


def test_too_large_batch_is_sent_in_parts_with_the_same_event_ids(
    server: ScriptedServer,
    make_http_client: ClientMaker,
    complaints: Complaints,
    refusing: Answering,
) -> None:
    too_large = refusing(ErrorCode.TOO_LARGE, 413)
    server.script.extend([too_large, too_large, too_large])
    client = make_http_client()
    ids = [client.capture("d", str(number)) for number in range(4)]
    assert client.flush() == settled(delivered=3, lost=1)
    assert server.received.names == [
        ["0", "1", "2", "3"],
        ["0", "1"],
        ["0"],
        ["1"],
        ["2", "3"],
    ]
    assert len(set(server.received.batch_ids)) == 5
    whole = server.received.batches[0].events
    assert [str(event.event_id) for event in whole] == ids
    assert server.received.batches[-1].events == whole[2:]
    assert complaints.names == [["0"]]


def test_stranger_that_says_ok_is_given_up_after_one_round(
    server: ScriptedServer,
    make_http_client: ClientMaker,
    complaints: Complaints,
    scripted: Answering,
) -> None:
    server.script.extend([scripted(body=b"ok")] * 4)
    client = make_http_client()
    client.capture("d", "e")
    assert client.flush() == settled(lost=1)
    assert len(server.received.batches) == 4
    assert len(set(server.received.batch_ids)) == 1
    assert complaints.kinds == ["UnconfirmedError"]
    client.capture("d", "next")
    assert client.flush() == settled(delivered=1)


def test_events_refused_one_by_one_are_found_by_their_id(
    server: ScriptedServer,
    make_http_client: ClientMaker,
    complaints: Complaints,
    scripted: Answering,
) -> None:
    client = make_http_client()
    client.capture("d", "good")
    event_id = client.capture("d", "bad")
    assert event_id is not None
    result = b'{"%b":{"outcome":"invalid","reason":"timestamp_out_of_range"}}'
    body = b'{"success":true,"data":{"accepted":1,"invalid":1,"results":%b}}'
    server.script.append(scripted(body=body % (result % event_id.encode())))
    assert client.flush() == settled(delivered=1, lost=1)
    [error] = complaints.errors
    assert isinstance(error, EventRefusedError)
    assert (error.outcome, error.code) == ("invalid", "timestamp_out_of_range")
    assert complaints.names == [["bad"]]


@pytest.mark.parametrize("size", [40_000, 1_000_000])
def test_large_events_arrive(
    size: int, server: ScriptedServer, make_http_client: ClientMaker
) -> None:
    client = make_http_client()
    client.capture("d", "e", {"text": os.urandom(size // 2).hex()})
    assert client.flush() == settled(delivered=1)
    assert len(server.received.batches[0].events[0].properties["text"]) == size


def test_burst_of_captures_arrives_once_and_in_order(
    server: ScriptedServer, make_http_client: ClientMaker
) -> None:
    client = make_http_client()
    for number in range(5000):
        client.capture("d", str(number))
    client.flush()
    assert server.received.events == [str(number) for number in range(5000)]
    assert max(map(len, server.received.names)) <= 1000


def test_nothing_listens_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    transport = HttpTransport(f"http://127.0.0.1:{port}", 1)
    with pytest.raises(TransportError, match="ConnectError"):
        transport.send(Request({}, b""))
    transport.close()


@pytest.mark.parametrize("url", ["http://a..b", "http://\udcff"])
def test_impossible_url_is_an_error_of_the_transport(url: str) -> None:
    transport = HttpTransport(url, 1)
    with pytest.raises(TransportError):
        transport.send(Request({}, b""))
    transport.close()


def test_endless_answer_is_read_to_a_limit_only(
    monkeypatch: pytest.MonkeyPatch, server: ScriptedServer, scripted: Answering
) -> None:
    monkeypatch.setattr("headwater._http._MAX_ANSWER_BYTES", 10)
    server.script.append(scripted(body=b"x" * 10_000_000))
    transport = HttpTransport(server.url, 5)
    body = b'{"events":[]}'
    response = transport.send(Request({"X-Key": "k"}, body))
    assert response.status == 200
    assert 10 < len(response.body) < 10_000_000
    transport.close()


def test_transport_that_never_sent_can_be_closed() -> None:
    HttpTransport("http://localhost", 1).close()


def test_waiting_threads_are_served_by_one_sender(
    server: ScriptedServer, make_http_client: ClientMaker
) -> None:
    client = make_http_client()
    results: list[FlushResult] = []

    def work() -> None:
        client.capture("d", "e")
        results.append(client.flush())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(result.queued == 0 for result in results)
    assert len(server.received.events) == 8
    assert server.connections == 1
