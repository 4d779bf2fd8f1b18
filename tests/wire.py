"""A server and one client that writes what it likes, over a real socket."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from headwater_ingest.http.answer import Answer
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
        is_slow_from: Likewise, from that many requests on.
        is_broken: Whether it fails.
    """

    taken: list[tuple[RawHeaders, bytes, str]] = field(default_factory=list)
    answers: list[Callable[[Answer], None]] = field(default_factory=list)
    is_slow: bool = False
    is_slow_from: float = math.inf
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
        if self.is_slow or len(self.taken) > self.is_slow_from:
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
