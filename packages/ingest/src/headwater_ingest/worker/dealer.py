"""Accepts connections, and deals them out to the workers in turn.

So each worker gets the same share, also of connections that stay open. While a worker
is being started again the others get its share; if there is none, connections wait in
the queue of the socket. None is refused or lost, as it would be with a socket for each
worker (`SO_REUSEPORT`), whose queue dies with it. Had the workers accepted from one
socket themselves, whoever woke first would have taken all that there were.
"""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol

_AT_ONCE: Final = 32
_PAUSE_S: Final = 0.01


class Hand(Protocol):
    """A worker, as the dealer sees it."""

    def take(self, connection: socket.socket) -> bool:
        """Passes a connection on, if that is possible now."""


class Dealer:
    """Owned by the loop."""

    def __init__(self, sock: socket.socket, hands: Sequence[Hand]) -> None:
        """Prepare.

        Args:
            sock: What connections come from; it is closed at the end.
            hands: The workers.
        """
        self._sock = sock
        self._hands = hands
        self._next = 0
        self._held: socket.socket | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._is_dealing = False

    def start(self) -> None:
        """Begin to accept."""
        self._sock.settimeout(0)
        self._is_dealing = True
        asyncio.get_running_loop().add_reader(self._sock, self._deal)

    def stop(self) -> None:
        """Accept no more, and close the socket: who connects now is refused."""
        if self._is_dealing:
            self._is_dealing = False
            self._stop_reading()
        if self._held:
            self._held.close()
        self._sock.close()

    def _deal(self) -> None:
        for _ in range(_AT_ONCE):
            if self._held is None:
                self._held = self._accept()
            if self._held is None:
                return
            if not self._give(self._held):
                self._rest()
                return
            self._held.close()
            self._held = None

    def _accept(self) -> socket.socket | None:
        try:
            connection, _ = self._sock.accept()
        except BlockingIOError:
            return None
        except OSError:  # the client has gone again, or there are too many open files
            self._rest()
            return None
        return connection

    def _give(self, connection: socket.socket) -> bool:
        """Give a connection to the worker whose turn it is, or to who can take it."""
        for _ in self._hands:
            hand = self._hands[self._next]
            self._next = (self._next + 1) % len(self._hands)
            if hand.take(connection):
                return True
        return False

    def _rest(self) -> None:
        """Look again in a moment: nobody takes a connection now."""
        self._stop_reading()
        loop = asyncio.get_running_loop()
        self._pause = loop.call_later(_PAUSE_S, self._go_on)

    def _go_on(self) -> None:
        asyncio.get_running_loop().add_reader(self._sock, self._deal)
        self._deal()

    def _stop_reading(self) -> None:
        asyncio.get_running_loop().remove_reader(self._sock)
        if self._pause:
            self._pause.cancel()


def pass_on(connection: socket.socket, channel: socket.socket) -> bool:
    """Pass a connection to another process, and say whether it had room for it."""
    try:
        socket.send_fds(channel, [b"c"], [connection.fileno()])
    except OSError:  # it is gone, or does not take what it was given before
        return False
    return True


def receive_connections(channel: socket.socket) -> list[socket.socket]:
    """Return the connections that have been passed on since the last look."""
    found: list[socket.socket] = []
    with suppress(BlockingIOError):
        while True:
            data, fds, _, _ = socket.recv_fds(channel, 1, 1)
            found += [socket.socket(fileno=fd) for fd in fds]
            if not data:
                break
    return found
