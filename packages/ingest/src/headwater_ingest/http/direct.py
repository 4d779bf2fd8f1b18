"""The short way of a request, from the parser to what answers it, past ASGI.

A scope, an event, a task and three messages cost a web event more than its session and
row. So a request that is quite plain, and is there whole as soon as its head is, goes
to its taker at once. All others are uvicorn's: a body in pieces, pipelined requests,
`Expect`, HTTP/1.0, a connection that is to end, a client that does not read.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import structlog
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from headwater_ingest.http.answer import BROKEN, CLOSE, Answer, encode_headers
from headwater_ingest.http.joined_writes import JoiningTransport
from headwater_ingest.http.no_upgrade import NoUpgradeProtocol

RawHeaders = Sequence[tuple[bytes, bytes]]
"""Headers in their order, names in lower case."""

_log = structlog.stdlib.get_logger(__name__)


class Taker(Protocol):
    """What answers the POST requests of a path."""

    def take(
        self,
        headers: RawHeaders,
        body: bytes,
        peer: str,
        answer: Callable[[Answer], None],
    ) -> None:
        """Takes a request, and answers it once, now or later.

        Args:
            headers: Of the request.
            body: As it was sent.
            peer: The address at the other end of the connection.
            answer: What sends the answer.
        """


class Directory:
    """Which paths have a short way, and the requests that are on it. Of one server."""

    def __init__(self, takers: Mapping[str, Taker]) -> None:
        self._takers = {path.encode(): taker for path, taker in takers.items()}
        self._in_flight: set[Exchange] = set()
        self._idle = asyncio.Event()
        self._general: tuple[RawHeaders, bytes] = (), b""

    def find(self, target: bytes) -> Taker | None:
        """Returns what takes a request whose target is this path and nothing else."""
        return self._takers.get(target)

    def begin(self, exchange: "Exchange") -> None:
        """Notes a request."""
        self._in_flight.add(exchange)

    def end(self, exchange: "Exchange") -> None:
        """Notes that it has its answer."""
        self._in_flight.discard(exchange)
        if not self._in_flight:
            self._idle.set()

    def encode_general(self, headers: RawHeaders) -> bytes:
        """Returns the headers of all answers, which are new ones every second."""
        if headers is not self._general[0]:
            self._general = headers, encode_headers(headers)
        return self._general[1]

    async def finish(self) -> None:
        """Returns when no request waits for its answer."""
        while self._in_flight:
            self._idle.clear()
            await self._idle.wait()


class Exchange:
    """A request and its answer, in the place of uvicorn's cycle."""

    __slots__ = ("_protocol", "disconnected", "keep_alive", "response_complete")

    message_event: ClassVar = asyncio.Event()
    """Uvicorn sets it for whoever reads the body, which is here already."""

    def __init__(self, protocol: "DirectProtocol") -> None:
        self._protocol = protocol
        self.keep_alive = True
        self.response_complete = False
        self.disconnected = False

    def answer(self, answer: Answer) -> None:
        """Sends the answer, unless the client has gone."""
        self.response_complete = True
        self._protocol.conclude(self, answer)


class DirectProtocol(NoUpgradeProtocol):
    """Uvicorn's HTTP protocol, with a short way for plain requests."""

    def __init__(self, *args: Any, directory: Directory, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._directory = directory
        self._taker: Taker | None = None  # of a request whose body is on its way
        self._body = b""
        self._peer = ""
        self._is_idle = False
        self._idle_since_s = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in its base
        """Takes a connection."""
        self._wire = JoiningTransport(transport)
        super().connection_made(self._wire)
        self._peer = self.client[0] if self.client else ""

    def connection_lost(self, exc: Exception | None) -> None:
        """Lets go of a connection."""
        if self._idle_timer:
            self._idle_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes what has come."""
        super().data_received(data)
        if self._taker and not self._wire.is_closing():
            self._taker = None
            self._go_the_long_way()
            super().on_body(self._body)

    def on_message_begin(self) -> None:
        """Begins a request, without the scope that only the long way needs."""
        self._is_idle = False
        self._unset_keepalive_if_required()
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        """Chooses the way of a request."""
        taker = self._directory.find(self.url)
        if taker and self._is_plain():
            self._taker, self._body = taker, b""
        else:
            self._go_the_long_way()

    def on_body(self, body: bytes) -> None:
        """Takes a part of the body."""
        if self._taker:
            self._body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Hands over a request that is whole."""
        taker, self._taker = self._taker, None
        if taker is None:
            super().on_message_complete()
            return
        exchange = Exchange(self)
        self.cycle = exchange  # type: ignore[assignment]  # it stands in for one
        self._directory.begin(exchange)
        try:
            taker.take(self.headers, self._body, self._peer, exchange.answer)
        except Exception:  # noqa: BLE001  # supervised: other requests go on
            _log.exception("request failed")
            if not exchange.response_complete:
                exchange.answer(BROKEN)

    def conclude(self, exchange: Exchange, answer: Answer) -> None:
        """Sends the answer to the request in hand."""
        self._directory.end(exchange)
        if exchange.disconnected:
            return
        general = self._directory.encode_general(self.server_state.default_headers)
        if not exchange.keep_alive and not answer.is_last:
            answer = answer.plus(CLOSE)
        self._wire.write_now(answer.encode(general))
        if answer.is_last:
            self._wire.close()
        if self.pipeline:
            self.on_response_complete()
        else:
            self.server_state.total_requests += 1
            self._keep_alive()

    def _go_the_long_way(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()  # makes the scope, with headers that are its own
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def _keep_alive(self) -> None:
        """Has the connection end when it was idle for long.

        One timer goes on from request to request: to cancel and start one each time, as
        uvicorn does, takes as long as to find the session.
        """
        self._is_idle, self._idle_since_s = True, self.loop.time()
        if not self._idle_timer:
            self._look_later(self.timeout_keep_alive)

    def _look_later(self, delay_s: float) -> None:
        self._idle_timer = self.loop.call_later(delay_s, self._end_if_idle)

    def _end_if_idle(self) -> None:
        self._idle_timer = None
        if not self._is_idle:
            return
        idle_s = self.loop.time() - self._idle_since_s
        if idle_s < self.timeout_keep_alive:
            self._look_later(self.timeout_keep_alive - idle_s)
        else:
            self.timeout_keep_alive_handler()

    def _is_busy(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _is_plain(self) -> bool:
        """Whether nothing but a whole body is missing for the short way."""
        parser = self.parser
        return (
            not self._is_busy()
            and parser.get_method() == b"POST"
            and parser.should_keep_alive()
            and parser.get_http_version() == "1.1"
            and not parser.should_upgrade()
            and not self.expect_100_continue
            and not self.flow.write_paused
        )
