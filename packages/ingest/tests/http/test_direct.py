"""The short way of plain requests, over real sockets, beside uvicorn's own."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.wire import OK, Client, Desk, post, serve, turn_loop

from headwater_ingest.http.answer import CLOSE
from headwater_ingest.http.server import HttpServer

IDLE_S = 3600.0

Pass = Callable[[float], Awaitable[None]]


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Pass:
    """Returns what lets a time pass on the clock of the loop.

    A connection is idle after an hour, so that no delay of the machine makes it so.
    """
    monkeypatch.setattr("headwater_ingest.http.server._KEEP_ALIVE_SECONDS", IDLE_S)

    async def pass_time(seconds: float) -> None:
        loop = asyncio.get_running_loop()
        clock = loop.time
        monkeypatch.setattr(loop, "time", lambda: clock() + seconds)
        await turn_loop()

    return pass_time


def test_a_plain_request_goes_the_short_way() -> None:
    async def check(desk: Desk, client: Client, _server: HttpServer) -> None:
        await client.send(post(b"hello", **{"X-Odd": "1"}))
        status, headers, body = await client.read()
        assert (status, body) == (202, b"ok")
        assert "date" in headers
        ((sent, body, peer),) = desk.taken
        assert (body, peer) == (b"hello", "127.0.0.1")
        assert dict(sent)[b"x-odd"] == b"1", "names are in lower case"

    serve(check)


def test_a_connection_takes_one_request_after_the_other_on_either_way() -> None:
    async def check(desk: Desk, client: Client, _server: HttpServer) -> None:
        for target, answer in [
            ("/desk", b"ok"),
            ("/other", b"asgi 5"),
            ("/desk", b"ok"),
            ("/desk?debug=1", b"asgi 5"),
            ("/desk", b"ok"),
        ]:
            await client.send(post(target=target))
            assert (await client.read())[2] == answer
        assert len(desk.taken) == 3

    serve(check)


def test_a_request_without_a_body_goes_the_short_way_too() -> None:
    async def check(desk: Desk, client: Client, _server: HttpServer) -> None:
        await client.send(post(b""))
        assert (await client.read())[2] == b"ok"
        assert desk.taken[0][1] == b""

    serve(check)


def test_a_body_in_pieces_goes_the_long_way_whole() -> None:
    async def check(desk: Desk, client: Client, _server: HttpServer) -> None:
        request = post(b"x" * 100)
        await client.send(request[:-60], request[-60:-10], request[-10:])
        assert (await client.read())[2] == b"asgi 100"
        await client.send(request[:-100], request[-100:])
        assert (await client.read())[2] == b"asgi 100"
        await client.send(post())
        assert (await client.read())[2] == b"ok", "the next one is plain again"
        assert len(desk.taken) == 1

    serve(check)


def test_a_head_in_pieces_is_as_good_as_a_whole_one() -> None:
    async def check(_desk: Desk, client: Client, _server: HttpServer) -> None:
        request = post()
        await client.send(request[:9], request[9:30], request[30:])
        assert (await client.read())[2] == b"ok"

    serve(check)


def test_chunks_that_come_together_are_one_body() -> None:
    async def check(desk: Desk, client: Client, _server: HttpServer) -> None:
        head = (
            b"POST /desk HTTP/1.1\r\nHost: node\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        await client.send(head + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")
        assert (await client.read())[2] == b"ok"
        assert desk.taken[0][1] == b"hello"

    serve(check)


@pytest.mark.parametrize(
    "request_",
    [
        post().replace(b"POST", b"PUT"),
        post(Expect="100-continue"),
        post(Connection="close"),
        post().replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
def test_what_is_not_plain_goes_the_long_way(request_: bytes) -> None:
    async def check(desk: Desk, client: Client, _server: HttpServer) -> None:
        await client.send(request_)
        answer = await client.reader.readuntil(b"asgi 5")
        assert answer.endswith(b"asgi 5")
        assert desk.taken == []

    serve(check)


def test_answers_come_in_the_order_of_the_requests() -> None:
    async def check(desk: Desk, client: Client, _server: HttpServer) -> None:
        desk.is_slow = True
        await client.send(post() + post(b"1234567") + post(target="/other"))
        await desk.called.wait()
        (answer,) = desk.answers
        answer(OK)
        assert [(await client.read())[2] for _ in range(3)] == [
            b"ok",
            b"asgi 7",
            b"asgi 5",
        ]

    serve(check)


def test_a_malformed_request_ends_the_connection() -> None:
    async def check(desk: Desk, client: Client, _server: HttpServer) -> None:
        head = b"POST /desk HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        await client.send(head + b"not a length\r\n")
        assert (await client.reader.read()).startswith(b"HTTP/1.1 400 ")
        assert desk.taken == []

    serve(check)


def test_a_taker_that_fails_is_a_500_and_takes_nothing_down() -> None:
    async def check(desk: Desk, client: Client, server: HttpServer) -> None:
        desk.is_broken = True
        await client.send(post())
        status, headers, _ = await client.read()
        assert (status, headers["connection"]) == (500, "close")
        assert await client.reader.read() == b"", "the connection has ended"
        await server.finish_requests()

    serve(check)


def test_an_answer_can_end_the_connection() -> None:
    async def check(desk: Desk, client: Client, _server: HttpServer) -> None:
        desk.is_slow = True
        await client.send(post())
        await desk.called.wait()
        desk.answers[0](OK.plus(CLOSE))
        _, headers, body = await client.read()
        assert (headers["connection"], body) == ("close", b"ok")
        assert await client.reader.read() == b""

    serve(check)


def test_a_client_that_hangs_up_is_not_answered() -> None:
    async def check(desk: Desk, client: Client, server: HttpServer) -> None:
        desk.is_slow = True
        await client.send(post())
        await desk.called.wait()
        client.writer.transport.abort()
        await turn_loop()
        desk.answers[0](OK)
        await server.finish_requests()

    serve(check)


def test_a_client_that_waits_to_be_asked_is_asked_for_its_body() -> None:
    async def check(_desk: Desk, client: Client, _server: HttpServer) -> None:
        request = post(b"hello", Expect="100-continue")
        await client.send(request[:-5])
        asked = await client.reader.readuntil(b"\r\n\r\n")
        assert asked.startswith(b"HTTP/1.1 100 ")
        await client.send(request[-5:])
        assert (await client.read())[2] == b"asgi 5"

    serve(check)


def test_each_answer_has_the_headers_of_its_time() -> None:
    async def check(desk: Desk, client: Client, server: HttpServer) -> None:
        desk.is_slow = True
        for date in ("Mon, 01 Jan 2024 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:01 GMT"):
            desk.called.clear()
            await client.send(post())
            await desk.called.wait()
            # Within one turn of the loop: uvicorn sets them itself, every second.
            server._server.server_state.default_headers = [(b"date", date.encode())]
            desk.answers.pop()(OK)
            assert (await client.read())[1]["date"] == date

    serve(check)


def test_a_connection_ends_when_it_was_idle_for_long(pass_time: Pass) -> None:
    async def check(_desk: Desk, client: Client, _server: HttpServer) -> None:
        for _ in range(5):
            await client.send(post())
            assert (await client.read())[2] == b"ok"
            await pass_time(0.6 * IDLE_S)
        assert not client.reader.at_eof()
        await pass_time(0.5 * IDLE_S)
        assert await client.reader.read() == b""

    serve(check)


@pytest.mark.parametrize("target", ["/desk", "/other"])
def test_what_begins_no_request_does_not_keep_a_connection(
    pass_time: Pass, target: str
) -> None:
    async def check(_desk: Desk, client: Client, _server: HttpServer) -> None:
        await client.send(post(target=target))
        assert (await client.read())[0] in {200, 202}
        await pass_time(0.6 * IDLE_S)
        await client.send(b"\r\n")
        await pass_time(0.5 * IDLE_S)
        assert await client.reader.read() == b""

    serve(check)


def test_a_request_that_came_together_with_another_is_in_hand(pass_time: Pass) -> None:
    async def check(desk: Desk, client: Client, _server: HttpServer) -> None:
        desk.is_slow_from = 1
        await client.send(post() + post())
        assert (await client.read())[2] == b"ok"
        await pass_time(3 * IDLE_S)
        desk.answers[0](OK)
        assert (await client.read())[2] == b"ok"

    serve(check)


@pytest.mark.parametrize("target", ["/desk", "/other"])
def test_a_connection_with_a_request_in_hand_is_not_idle(
    pass_time: Pass, target: str
) -> None:
    async def check(desk: Desk, client: Client, _server: HttpServer) -> None:
        await client.send(post())
        await client.read()
        desk.is_slow = True
        request = post(target=target)
        await client.send(request if target == "/desk" else request[:-1])
        await pass_time(3 * IDLE_S)
        if target == "/desk":
            desk.answers[0](OK)
        else:
            await client.send(request[-1:])
        assert (await client.read())[0] in {200, 202}
        await pass_time(1.1 * IDLE_S)
        assert await client.reader.read() == b"", "now it was idle"

    serve(check)


def test_requests_in_flight_are_finished_before_the_end() -> None:
    async def check(desk: Desk, client: Client, server: HttpServer) -> None:
        desk.is_slow = True
        await client.send(post())
        await desk.called.wait()
        finishing = asyncio.create_task(server.finish_requests())
        closing = asyncio.create_task(server.close())
        await turn_loop()
        assert not finishing.done()
        desk.answers[0](OK)
        await finishing
        assert (await client.read())[2] == b"ok"
        await closing
        assert await client.reader.read() == b""

    serve(check)
