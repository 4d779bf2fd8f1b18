"""Requests that offer another protocol are answered in this one, over real sockets."""

import pytest
from tests.wire import Client, Desk, post, serve

from headwater_ingest.http.server import HttpServer

# As `java.net.http.HttpClient` sends it with the first request of a connection.
OFFER = {
    "Connection": "Upgrade, HTTP2-Settings",
    "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
    "Upgrade": "h2c",
}


def test_the_body_of_a_request_that_offers_http_2_is_taken() -> None:
    async def check(desk: Desk, client: Client, _server: HttpServer) -> None:
        await client.send(post(b"hello", **OFFER, **{"X-Odd": "1"}))
        assert (await client.read())[::2] == (202, b"ok")
        ((sent, body, _),) = desk.taken
        headers = dict(sent)
        assert (body, headers[b"x-odd"]) == (b"hello", b"1")
        assert b"upgrade" not in headers

    serve(check)


@pytest.mark.parametrize("at", [20, 60, 250])
def test_it_may_come_in_pieces(at: int) -> None:
    async def check(_desk: Desk, client: Client, _server: HttpServer) -> None:
        whole = post(b"hello" * 20, "/other", **OFFER)
        await client.send(whole[:at], whole[at:])
        assert (await client.read())[::2] == (200, b"asgi 100")

    serve(check)


def test_the_connection_goes_on() -> None:
    async def check(desk: Desk, client: Client, _server: HttpServer) -> None:
        await client.send(post(b"one", **OFFER))
        assert (await client.read())[0] == 202
        await client.send(post(b"two", **OFFER) + post(b"three"))
        assert [(await client.read())[0] for _ in range(2)] == [202, 202]
        assert [body for _, body, _ in desk.taken] == [b"one", b"two", b"three"]

    serve(check)


def test_very_many_together_are_all_answered() -> None:
    async def check(desk: Desk, client: Client, _server: HttpServer) -> None:
        for number in range(6):  # the first is read alone, the others together
            await client.send(post(b"hello", **OFFER) * (200 if number else 1))
        assert [(await client.read())[0] for _ in range(1001)] == [202] * 1001
        assert len(desk.taken) == 1001

    serve(check)


def test_what_comes_after_the_last_request_does_no_harm() -> None:
    async def check(_desk: Desk, client: Client, _server: HttpServer) -> None:
        await client.send(post(b"hello", **OFFER))
        assert (await client.read())[0] == 202
        await client.send(post(Connection="close") + b"more")
        assert (await client.read())[::2] == (200, b"asgi 5")

    serve(check)


def test_an_old_client_is_answered_as_one() -> None:
    async def check(_desk: Desk, client: Client, _server: HttpServer) -> None:
        await client.send(post(b"hello", **OFFER).replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert (await client.read())[::2] == (200, b"asgi 5")
        assert await client.reader.read() == b"", "it reads to the end"

    serve(check)


def test_what_else_the_connection_is_told_counts() -> None:
    async def check(_desk: Desk, client: Client, _server: HttpServer) -> None:
        await client.send(post(Connection="close, upgrade", Upgrade="h2c"))
        assert (await client.read())[::2] == (200, b"asgi 5")
        assert await client.reader.read() == b"", "it was to be closed"

    serve(check)


def test_a_websocket_is_no_reason_to_stop_either() -> None:
    async def check(_desk: Desk, client: Client, _server: HttpServer) -> None:
        await client.send(
            b"GET /other HTTP/1.1\r\nHost: node\r\n"
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        assert (await client.read())[::2] == (200, b"asgi 0")

    serve(check)


def test_who_wants_a_tunnel_is_refused() -> None:
    async def check(_desk: Desk, client: Client, _server: HttpServer) -> None:
        await client.send(b"CONNECT node:443 HTTP/1.1\r\nHost: node:443\r\n\r\n")
        assert (await client.read())[0] == 400
        assert await client.reader.read() == b""

    serve(check)


def test_what_is_no_request_is_refused() -> None:
    async def check(_desk: Desk, client: Client, _server: HttpServer) -> None:
        await client.send(b"nonsense\r\n\r\n")
        assert (await client.read())[0] == 400
        assert await client.reader.read() == b""

    serve(check)
