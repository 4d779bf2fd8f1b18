"""The HTTP server: uvicorn on a socket of ours, without its own signals and logs."""

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from headwater_ingest.errors import AddressUnavailableError
from headwater_ingest.http.direct import Directory, DirectProtocol, Taker

_BACKLOG = 2048
# Longer than the flush interval of any client, so that its connection stays open.
_KEEP_ALIVE_SECONDS = 75
_START_SECONDS = 10
_CLOSE_SECONDS = 2

_HINTS = {
    errno.EADDRINUSE: "is in use: stop the other program or set HEADWATER_PORT",
    errno.EACCES: "needs root: set HEADWATER_PORT to 1024 or higher",
    errno.EADDRNOTAVAIL: "is not on this machine: correct HEADWATER_LISTEN_HOST",
    socket.EAI_NONAME: "has an unknown host: correct HEADWATER_LISTEN_HOST",
}


def listen(host: str, port: int) -> socket.socket:
    """Take the address, so that nobody else can.

    Raises:
        AddressUnavailableError: If that is not possible; the message says what to do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        hint = _HINTS.get(error.errno or 0, f"cannot be used: {error.strerror}")
        raise AddressUnavailableError(f"address {host}:{port} {hint}") from error


class HttpServer:
    """Serves an application on a socket until it is told to finish."""

    def __init__(
        self,
        app: ASGIApp,
        sock: socket.socket | None = None,
        *,
        takers: Mapping[str, Taker] | None = None,
    ) -> None:
        """Prepare; `start` serves.

        Args:
            app: The application.
            sock: Where connections are accepted; None: they come by `adopt`.
            takers: What plain requests of a path go to past the application.
        """
        self._sockets = [] if sock is None else [sock]
        self._directory = Directory(takers or {})
        protocol = partial(DirectProtocol, directory=self._directory)
        self._server = _Server(
            uvicorn.Config(
                app,
                http=cast("type[asyncio.Protocol]", protocol),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_CLOSE_SECONDS,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when requests are answered."""
        self._serving = asyncio.create_task(self._server.serve(self._sockets))
        started = asyncio.create_task(self._server.has_started.wait())
        await asyncio.wait(
            {self._serving, started},
            timeout=_START_SECONDS,
            return_when=asyncio.FIRST_COMPLETED,
        )
        started.cancel()

    async def adopt(self, connection: socket.socket) -> None:
        """Serve a connection that somebody else has accepted."""
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(self._server.make_protocol, connection)

    async def wait(self) -> None:
        """Return when the server has ended, which it does only if told or broken."""
        if self._serving:
            await asyncio.shield(self._serving)

    async def finish_requests(self) -> None:
        """Return when the requests that are in flight now have been answered."""
        if in_flight := set(self._server.server_state.tasks):
            await asyncio.wait(in_flight)
        await self._directory.finish()

    async def close(self) -> None:
        """Close every connection; a request in flight has a moment to end."""
        self._server.should_exit = True
        await self.wait()


class _Server(uvicorn.Server):
    """Uvicorn that says when it has started and leaves the signals to the lifecycle."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_started = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.has_started.set()

    def make_protocol(self) -> asyncio.Protocol:
        """Return what serves one connection, as uvicorn makes it for its own."""
        make: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return make(
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
