"""A TCP relay that can be cut: an outage of whatever is behind it."""

import socket
import threading
from contextlib import suppress
from typing import Self

_BLOCK = 65_536


class Relay:
    """Listens on a free port and carries bytes to and from an address.

    `cut` and `restore` belong to one thread; the lock guards the open connections,
    which the threads of the relay share.
    """

    def __init__(self, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.port = 0
        self.connections = 0

    def restore(self) -> None:
        """Takes connections, on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._spawn(self._accept, self._listener)

    def cut(self) -> None:
        """Breaks every connection and refuses new ones."""
        if self._listener:
            _close(self._listener)
            self._listener = None
        with self._lock:
            connections, self._open = self._open, set()
        for each in connections:
            _close(each)

    def __enter__(self) -> Self:
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # it is closed by `cut`
            while True:
                client, _ = listener.accept()
                self.connections += 1
                self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._upstream)
        except OSError:
            _close(client)
            return
        with self._lock:
            self._open |= {client, server}
        self._spawn(self._carry, client, server)
        self._spawn(self._carry, server, client)

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):  # either side has gone, or `cut` has closed it
            while block := source.recv(_BLOCK):
                sink.sendall(block)
        for each in (source, sink):
            _close(each)
            with self._lock:
                self._open.discard(each)

    def _spawn(self, target: object, *arguments: socket.socket) -> None:
        assert callable(target)
        threading.Thread(target=target, args=arguments, daemon=True).start()


def _close(connection: socket.socket) -> None:
    # A close alone does not wake a thread that waits in `accept` or `recv`.
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
