"""A server on loopback that takes events as Headwater does, and forgets them."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Self

from headwater._transport import Request
from headwater.testing._inbox import Inbox, RecordedEvent

_POLL_S: Final = 0.01
_KEEP_ALIVE_S: Final = 0.5


class FakeServer:
    """A real HTTP server for tests of whole processes, on a free port.

    ::

        with FakeServer() as server:
            subprocess.run([...], env={"HEADWATER_HOST": server.url, ...})
            server.wait_for(3)

    Attributes:
        inbox: What it has taken, and where other answers are ordered.
    """

    def __init__(self) -> None:
        self.inbox = Inbox()
        self._server = _Server(self.inbox)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="headwater-fake"
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The `host` for a client."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def events(self) -> list[RecordedEvent]:
        """The events that were taken, in the order of their coming."""
        return self.inbox.events

    def wait_for(self, count: int, timeout: float = 10.0) -> list[RecordedEvent]:
        """Waits until so many events have come, and returns them.

        Raises:
            AssertionError: They have not, in `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while len(self.events) < count:
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"only {len(self.events)} of {count} events came in {timeout} s"
                )
            time.sleep(_POLL_S)
        return self.events

    def close(self) -> None:
        """Refuses connections from now on."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Closes the server."""
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Keeps quiet: a client that goes away is no fault of the server's."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _KEEP_ALIVE_S
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            answer = self.server.inbox.take(Request(dict(self.headers), body))
        except Exception:  # noqa: BLE001 - ordered by `Inbox.fail`: the line breaks
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, text in answer.headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *args: object) -> None:
        """Keeps quiet."""
