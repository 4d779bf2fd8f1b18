"""The short way of plain requests, over real sockets, beside uvicorn's own."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from headwater_ingest.http.answer import CLOSE, Answer
from headwater_ingest.http.direct import RawHeaders
from headwater_ingest.http.server import HttpServer, listen

OK = Answer(202, ((b"content-length", b"2"),), b"ok")


@dataclass
class Desk:
    """Takes plain requests, and answers when it is told to.

    Attributes:
        taken: Headers, body and peer of each.
        answers: What answers those that have none yet.
        is_slow: Whether it waits to be told.
        is_broken: Whether it fails.
    """

    taken: list[tuple[RawHeaders, bytes, str]] = field(default_factory=list)
    answers: list[Callable[[Answer], None]] = field(default_factory=list)
    is_slow: bool = False
    is_broken: bool = False
    called: asyncio.Event = field(default_factory=asyncio.Event)

    def take(
        self,
        headers: RawHeaders,
        body: bytes,
        peer: str,
        answer: Callable[[Answer], None],
    ) -> None:
        self.taken.append((headers, body, peer))
        self.called.set()
        if self.is_broken:
            raise RuntimeError("it is broken")
        if self.is_slow:
            self.answers.append(answer)
        else:
            answer(OK)


@dataclass
class Client:
    """A connection on which a test writes what it likes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *parts: bytes) -> None:
        """Sends bytes, each part in a packet of its own."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await turn_loop()  # the server is on it, too, and reads this part now

    async def read(self) -> tuple[int, dict[str, str], bytes]:
        """Returns status, headers and body of the next answer."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        body = await self.reader.readexactly(int(headers["content-length"]))
        return int(status.split()[1]), headers, body


async def turn_loop() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


Check = Callable[[Desk, Client, HttpServer], Awaitable[None]]


async def say_asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body, and tells that the request went the long way."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await PlainTextResponse(f"asgi {size}")(scope, receive, send)


def serve(check: Check) -> None:
    """Serves a desk at `/desk`, and all else by ASGI, to one client."""

    async def run() -> None:
        with listen("127.0.0.1", 0) as sock:
            desk = Desk()
            server = HttpServer(say_asgi, sock, takers={"/desk": desk})
            async with asyncio.timeout(20):
                await server.start()
                reader, writer = await asyncio.open_connection(*sock.getsockname())
                try:
                    await check(desk, Client(reader, writer), server)
                finally:
                    writer.close()
                    await server.close()

    asyncio.run(run())


def post(body: bytes = b"hello", target: str = "/desk", **headers: str) -> bytes:
    """Returns a request."""
    named = {"Host": "node", "Content-Length": str(len(body)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"POST {target} HTTP/1.1\r\n{lines}\r\n".encode() + body


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
