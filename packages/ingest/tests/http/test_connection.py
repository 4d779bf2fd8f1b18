"""What a refused request leaves of its connection, over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import http.client
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import pytest

from headwater_ingest.http.server import HttpServer, listen
from headwater_schema.limits import MAX_BATCH_BYTES

if TYPE_CHECKING:
    from packages.ingest.tests.http.conftest import Edge

KEY = "hw_key_of_the_first_site"
MIB = 1024 * 1024
GOOD = msgspec.json.encode({"events": [{"event": "Clicked", "distinct_id": "ada"}]})


def serve(edge: Edge, check: Callable[[http.client.HTTPConnection], None]) -> None:
    """Serves the edge on a socket while a client of the standard library talks."""

    async def run() -> None:
        with listen("127.0.0.1", 0) as sock:
            server = HttpServer(edge.app, sock)
            host, port = sock.getsockname()
            connection = http.client.HTTPConnection(host, port, timeout=20)
            async with asyncio.timeout(60):
                await server.start()
                try:
                    await asyncio.to_thread(check, connection)
                finally:
                    connection.close()
                    await server.close()

    asyncio.run(run())


def post(
    connection: http.client.HTTPConnection, body: bytes = GOOD, **headers: str
) -> tuple[int, str | None]:
    """Posts on the connection as it is, and returns status and `connection`."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    headers = {"X-Headwater-Key": KEY, **names}
    connection.request("POST", "/ingest-events", body, headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.headers["connection"]


def test_the_next_request_on_the_connection_of_a_refused_one_is_taken(
    edge: Edge,
) -> None:
    bomb = gzip.compress(bytes(MAX_BATCH_BYTES + 1))

    def check(connection: http.client.HTTPConnection) -> None:
        connection.connect()
        sock = connection.sock
        for status, body, headers in [
            (400, b"not a batch", {}),
            (400, b"", {}),
            (401, GOOD, {"X-Headwater-Key": "hw_wrong"}),
            (401, bytes(MIB), {"X-Headwater-Key": "hw_wrong"}),
            (413, bomb, {"Content-Encoding": "gzip"}),
            (415, GOOD, {"Content-Encoding": "br"}),
            (415, GOOD, {"Content-Type": "text/csv"}),
        ]:
            assert post(connection, body, **headers) == (status, None)
            assert post(connection)[0] == 200
        assert connection.sock is sock, "it was the same connection all the time"

    serve(edge, check)


@pytest.mark.parametrize("size", [MAX_BATCH_BYTES + 1, 30 * MIB])
def test_a_client_of_the_standard_library_sees_a_413_and_the_end(
    edge: Edge, size: int
) -> None:
    def check(connection: http.client.HTTPConnection) -> None:
        assert post(connection, bytes(size)) == (413, "close")
        assert post(connection)[0] == 200, "on a new connection"

    serve(edge, check)


def test_a_client_that_asks_before_it_sends_is_spared_the_sending(edge: Edge) -> None:
    def check(connection: http.client.HTTPConnection) -> None:
        connection.putrequest("POST", "/ingest-events")
        connection.putheader("Content-Length", str(10**12))
        connection.putheader("Expect", "100-continue")
        connection.endheaders()
        assert connection.getresponse().status == 413

    serve(edge, check)


def test_a_node_that_stops_ends_the_connection(edge: Edge) -> None:
    edge.door.refusing = True

    def check(connection: http.client.HTTPConnection) -> None:
        assert post(connection) == (503, "close")

    serve(edge, check)


def test_a_client_that_hangs_up_hurts_nobody(edge: Edge) -> None:
    def check(connection: http.client.HTTPConnection) -> None:
        connection.putrequest("POST", "/ingest-events")
        connection.putheader("X-Headwater-Key", KEY)
        connection.putheader("Content-Length", "1000")
        connection.endheaders(b'{"events": [')
        connection.close()
        assert post(connection)[0] == 200

    serve(edge, check)
    assert len(edge.rows()) == 1
