import asyncio
import socket
from collections.abc import Awaitable, Callable

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from headwater_ingest.errors import AddressUnavailableError
from headwater_ingest.http.server import HttpServer, listen


class SlowApp:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.called = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.called.set()
        await self.may_answer.wait()
        await PlainTextResponse("done")(scope, receive, send)


def serve(check: Callable[[HttpServer, SlowApp, str], Awaitable[None]]) -> None:
    async def run() -> None:
        sock = listen("127.0.0.1", 0)
        app = SlowApp()
        server = HttpServer(app, sock)
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        async with asyncio.timeout(20):
            await server.start()
            await check(server, app, url)
            app.may_answer.set()
            await server.close()

    asyncio.run(run())


def test_a_taken_port_is_one_clear_line() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressUnavailableError) as caught:
            listen("127.0.0.1", port)

    assert str(caught.value) == (
        f"address 127.0.0.1:{port} is in use: "
        "stop the other program or set HEADWATER_PORT"
    )


def test_an_address_of_another_machine_is_one_clear_line() -> None:
    with pytest.raises(AddressUnavailableError, match="is not on this machine"):
        listen("203.0.113.7", 0)
    with pytest.raises(AddressUnavailableError, match="correct HEADWATER_LISTEN_HOST"):
        listen("no-such-host.invalid", 0)


def test_a_port_is_free_again_after_the_server_was_closed() -> None:
    async def check(_server: HttpServer, app: SlowApp, url: str) -> None:
        app.may_answer.set()
        async with httpx.AsyncClient() as client:
            assert (await client.get(url)).text == "done"

    serve(check)


def test_requests_in_flight_are_finished_before_the_end() -> None:
    async def check(server: HttpServer, app: SlowApp, url: str) -> None:
        async with httpx.AsyncClient() as client:
            request = asyncio.create_task(client.get(url))
            await app.called.wait()
            finishing = asyncio.create_task(server.finish_requests())
            await asyncio.sleep(0)
            assert not finishing.done()

            app.may_answer.set()
            await finishing

            assert (await request).text == "done"

    serve(check)


def test_answers_name_no_server_software() -> None:
    async def check(_server: HttpServer, app: SlowApp, url: str) -> None:
        app.may_answer.set()
        async with httpx.AsyncClient() as client:
            assert "server" not in (await client.get(url)).headers

    serve(check)


def test_the_socket_takes_connections_at_once() -> None:
    with (
        listen("127.0.0.1", 0) as sock,
        socket.create_connection(sock.getsockname(), timeout=5),
    ):
        pass
