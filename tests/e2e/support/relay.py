"""A TCP relay that can be cut: an outage of whatever is behind it."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

_BLOCK = 65_536
# What a client sends up to the end of an answer holds rows if it is as large as this.
_LARGE = 8_192
# The last packet of an answer in ClickHouse's protocol; those before it tell of the
# progress of a query that is still under way.
_END_OF_STREAM = b"\x05"


@dataclass(slots=True)
class _Pair:
    """The connections of one client, and what it has sent since its last query."""

    client: socket.socket
    server: socket.socket
    asked_bytes: int = 0


class Relay:
    """Listens on a free port and carries bytes to and from an address.

    `cut`, `restore` and `lose_next_answer` belong to one thread; the lock guards what
    that one shares with the threads of the relay.
    """

    def __init__(self, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._lose: Callable[[], None] | None = None
        self.port = 0
        self.answers_lost = 0

    def restore(self) -> None:
        """Takes connections, on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        _spawn(self._accept, self._listener)

    def cut(self) -> None:
        """Breaks every connection and refuses new ones."""
        if self._listener:
            _close(self._listener)
            self._listener = None
        with self._lock:
            connections, self._open = self._open, set()
        for each in connections:
            _close(each)

    def lose_next_answer(self, then: Callable[[], None] = lambda: None) -> None:
        """Breaks the connection when ClickHouse has ended its answer to an INSERT.

        The server has done the work, and the client will not know.

        Args:
            then: Called at that moment, before the connection breaks.
        """
        with self._lock:
            self._lose = then

    def __enter__(self) -> Self:
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # it is closed by `cut`
            while True:
                client, _ = listener.accept()
                _spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._upstream)
        except OSError:
            _close(client)
            return
        pair = _Pair(client, server)
        with self._lock:
            self._open |= {client, server}
        _spawn(self._carry_requests, pair)
        _spawn(self._carry_answers, pair)

    def _carry_requests(self, pair: _Pair) -> None:
        with suppress(OSError):  # either side has gone, or `cut` has closed it
            while block := pair.client.recv(_BLOCK):
                pair.asked_bytes += len(block)
                pair.server.sendall(block)
        self._end(pair)

    def _carry_answers(self, pair: _Pair) -> None:
        with suppress(OSError):
            while block := pair.server.recv(_BLOCK):
                if block.endswith(_END_OF_STREAM):
                    if pair.asked_bytes >= _LARGE and self._loses_this():
                        break
                    pair.asked_bytes = 0
                pair.client.sendall(block)
        self._end(pair)

    def _loses_this(self) -> bool:
        with self._lock:
            lose, self._lose = self._lose, None
        if lose is None:
            return False
        lose()
        self.answers_lost += 1
        return True

    def _end(self, pair: _Pair) -> None:
        for each in (pair.client, pair.server):
            _close(each)
            with self._lock:
                self._open.discard(each)


def _spawn(target: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=target, args=arguments, daemon=True).start()


def _close(connection: socket.socket) -> None:
    # A close alone does not wake a thread that waits in `accept` or `recv`.
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
