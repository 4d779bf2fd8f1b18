"""Fakes that the tests share: a transport in memory, and a server with a script."""

from __future__ import annotations

import gzip
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
import zstandard

from headwater import (
    CapturedEvent,
    Client,
    ReportedError,
    Request,
    Response,
    TransportError,
)
from headwater_schema.batch import Answer, BatchResult, ErrorAnswer
from headwater_schema.codec import DecodedBatch, decode_batch
from headwater_schema.outcomes import ErrorCode

DEADLINE_S = 10.0
TAKEN = msgspec.json.encode(Answer(data=BatchResult()))


def wait_until(is_true: Callable[[], object]) -> None:
    """Waits for a condition; fails after a deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not is_true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def decode(body: bytes) -> DecodedBatch:
    """Reads a request body as the service does, and finds no fault in it."""
    if body[:2] == b"\x1f\x8b":
        body = gzip.decompress(body)
    elif body[:4] == b"\x28\xb5\x2f\xfd":
        body = zstandard.decompress(body)
    batch = decode_batch(body)
    assert not batch.refused
    return batch


@dataclass
class Received:
    """What a fake server got: everything in the order of its coming."""

    batches: list[DecodedBatch] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def add(self, headers: dict[str, str], body: bytes) -> None:
        self.headers.append({name.lower(): text for name, text in headers.items()})
        self.sizes.append(len(body))
        self.batches.append(decode(body))

    @property
    def names(self) -> list[list[str]]:
        """The names of the events, by request."""
        return [[event.event for event in batch.events] for batch in self.batches]

    @property
    def batch_ids(self) -> list[str]:
        return [str(batch.envelope.batch_id) for batch in self.batches]

    @property
    def events(self) -> list[str]:
        """The names of all events, in order."""
        return [name for names in self.names for name in names]


class MemoryTransport:
    """Answers at once, as its script says and then with "taken"."""

    def __init__(self) -> None:
        self.received = Received()
        self.script: deque[Response | Exception] = deque()
        self.gate = threading.Event()
        self.gate.set()
        self.attempts = 0
        self.closed = 0

    @property
    def is_closed(self) -> bool:
        return bool(self.closed)

    def fail(self, times: int) -> None:
        """Makes the next requests fail on the way."""
        self.script.extend([TransportError("no route")] * times)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Adds an answer to the script."""
        self.script.append(Response(status, headers, body))

    def send(self, request: Request) -> Response:
        self.attempts += 1
        assert self.gate.wait(DEADLINE_S)
        answer = self.script.popleft() if self.script else Response(200, {}, TAKEN)
        if isinstance(answer, Exception):
            raise answer
        self.received.add(dict(request.headers), request.body)
        return answer

    def close(self) -> None:
        self.closed += 1


@dataclass(frozen=True)
class ScriptedAnswer:
    """What a server does with one request.

    Attributes:
        status: The status of the answer.
        body: Its body.
        headers: Its further headers.
        cut_at: Break the connection after so many bytes of the body.
        hangs: Answer only when the server is stopped.
        dribbles: Send the body byte by byte until the server is stopped.
        delay: Seconds to wait before answering, unless the server is stopped.
    """

    status: int = 200
    body: bytes = TAKEN
    headers: dict[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    hangs: bool = False
    dribbles: bool = False
    delay: float = 0.0


def refusal(code: ErrorCode, status: int, **headers: str) -> ScriptedAnswer:
    """Returns an answer as Headwater gives it."""
    return ScriptedAnswer(
        status, msgspec.json.encode(ErrorAnswer.of(code, "because")), headers
    )


class ScriptedServer:
    """A real HTTP server on loopback that answers as its script says.

    It can be stopped and started on the same port.
    """

    def __init__(self) -> None:
        self.received = Received()
        self.script: deque[ScriptedAnswer] = deque()
        self.connections = 0
        self.released = threading.Event()
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._server = _Server(self, self._port)
        self._port = self._server.server_address[1]
        self.released.clear()
        threading.Thread(target=self._server.serve_forever, args=(0.01,)).start()

    def stop(self) -> None:
        """Refuses connections from now on; ends those that there are."""
        if self._server is not None:
            self.released.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def __init__(self, scripted: ScriptedServer, port: int) -> None:
        self.scripted = scripted
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 0.2
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.scripted.connections += 1

    def handle_one_request(self) -> None:
        super().handle_one_request()
        self.close_connection |= self.server.scripted.released.is_set()

    def do_POST(self) -> None:
        scripted = self.server.scripted
        body = self.rfile.read(int(self.headers["Content-Length"]))
        scripted.received.add(dict(self.headers), body)
        answer = scripted.script.popleft() if scripted.script else ScriptedAnswer()
        if answer.hangs:
            scripted.released.wait(DEADLINE_S)
            self.close_connection = True
            return
        if answer.delay:
            scripted.released.wait(answer.delay)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self._write(answer)

    def _write(self, answer: ScriptedAnswer) -> None:
        if answer.dribbles:
            for byte in answer.body:
                self.wfile.write(bytes([byte]))
                if self.server.scripted.released.wait(0.05):
                    break
        else:
            self.wfile.write(answer.body[: answer.cut_at])
        if answer.cut_at is not None:
            self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Keeps quiet."""


@dataclass
class Complaints:
    """An `on_error` that keeps what it gets."""

    errors: list[ReportedError] = field(default_factory=list)
    events: list[list[CapturedEvent]] = field(default_factory=list)

    def __call__(self, error: ReportedError, events: list[CapturedEvent]) -> None:
        self.errors.append(error)
        self.events.append(events)

    @property
    def kinds(self) -> list[str]:
        return [type(error).__name__ for error in self.errors]

    @property
    def names(self) -> list[list[str]]:
        return [[event["event"] for event in events] for events in self.events]


ClientMaker = Callable[..., Client]
Wait = Callable[[Callable[[], object]], None]
Senders = Callable[[], list[threading.Thread]]


@pytest.fixture
def wait() -> Wait:
    return wait_until


@pytest.fixture
def senders() -> Senders:
    """Tells which sending threads the test has started that are still alive."""
    of_others = set(threading.enumerate())

    def find() -> list[threading.Thread]:
        mine = set(threading.enumerate()) - of_others
        return [thread for thread in mine if thread.name == "headwater-sender"]

    return find


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest.fixture
def transport() -> MemoryTransport:
    return MemoryTransport()


@pytest.fixture
def scripted() -> type[ScriptedAnswer]:
    return ScriptedAnswer


@pytest.fixture
def refusing() -> Callable[..., ScriptedAnswer]:
    return refusal


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.stop()


@pytest.fixture
def make_client(
    transport: MemoryTransport, complaints: Complaints
) -> Iterator[ClientMaker]:
    """Builds clients that are in no hurry by themselves, and ends them."""
    clients = []

    def make(**options: Any) -> Client:
        given = {
            "write_key": "key",
            "host": "http://localhost:1",
            "flush_interval": 60.0,
            "on_error": complaints,
            "transport": transport,
            **options,
        }
        clients.append(Client(**given))
        return clients[-1]

    yield make
    transport.gate.set()
    for client in clients:
        client.shutdown()


@pytest.fixture
def _no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes full jitter as short as it can be."""
    monkeypatch.setattr("random.random", lambda: 0.0)
