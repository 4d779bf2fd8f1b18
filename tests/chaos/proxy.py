"""A TCP proxy that harms one exchange at a time, on order.

It stands between the service and ClickHouse, or between the SDK and the service. An
order waits for the next traffic that it can harm.
"""

import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from tests.e2e.support.waiting import wait_for

_BLOCK: Final = 65_536
_OUTAGE_S: Final = 0.3
_HANG_S: Final = 0.6
_SLOW_BYTES: Final = 64
_SLOW_S: Final = 0.005
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: a close is a reset


class Fault(StrEnum):
    """What the proxy does."""

    REFUSE = "refuse"
    HANG = "hang"
    RESET = "reset in the middle"
    LOSE = "answer lost after the work"
    SLOW = "slow bytes"
    HALF = "half bytes"


class Broken(Exception):  # noqa: N818 - no error of ours: the end of a connection
    """The connection is to be reset."""


@dataclass(slots=True, eq=False)
class _Pair:
    client: socket.socket
    server: socket.socket
    asked_bytes: int = 0


EndsAnswer = Callable[[bytes, int], bool]
"""Given the latest bytes of an answer and the length of what was asked: is it the end
of an answer to something that changes anything?"""


def ends_insert(block: bytes, asked_bytes: int) -> bool:
    """Tells the last packet of ClickHouse's answer to an INSERT of rows."""
    return asked_bytes >= 4096 and block.endswith(b"\x05")


def begins_http_answer(block: bytes, asked_bytes: int) -> bool:
    """Tells the answer to a batch."""
    return asked_bytes >= 512 and block.startswith(b"HTTP/1.1 200")


class FaultProxy:
    """Carries bytes between a free port and an address; the lock guards the order."""

    def __init__(self, upstream: tuple[str, int], ends_answer: EndsAnswer) -> None:
        self.upstream = upstream
        self._ends_answer = ends_answer
        self._lock = threading.Lock()
        self._order: Fault | None = None
        self._pairs: set[_Pair] = set()
        self._listener: socket.socket | None = None
        self.port = 0
        self.done = 0

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def harm(self, fault: Fault) -> None:
        """Returns when a fault has been done."""
        if fault is Fault.REFUSE:
            self.cut()
            time.sleep(_OUTAGE_S)
            self._listen()
            self.done += 1
            return
        before = self.done
        with self._lock:
            self._order = fault
        wait_for(lambda: self.done > before, what=f"traffic for {fault}", timeout_s=30)

    def cut(self) -> None:
        """Breaks every connection and refuses new ones."""
        if self._listener:
            _close(self._listener)
        self._listener = None
        for pair in list(self._pairs):
            self._break(pair)

    def restore(self) -> None:
        """Takes connections again."""
        self._listen()

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        _spawn(self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # `cut` has closed it
            while True:
                client, _ = listener.accept()
                _spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self.upstream)
        except OSError:
            _close(client)
            return
        pair = _Pair(client, server)
        self._pairs.add(pair)
        if self._listener is None:
            self._break(pair)
        _spawn(self._carry_requests, pair)
        _spawn(self._carry_answers, pair)

    def _carry_requests(self, pair: _Pair) -> None:
        with suppress(OSError, Broken):
            while block := pair.client.recv(_BLOCK):
                pair.asked_bytes += len(block)
                self._pass_request(pair, block)
        self._break(pair)

    def _carry_answers(self, pair: _Pair) -> None:
        with suppress(OSError, Broken):
            while block := pair.server.recv(_BLOCK):
                if self._ends_answer(block, pair.asked_bytes):
                    if self._take(Fault.LOSE):
                        self.done += 1
                        break
                    pair.asked_bytes = 0
                pair.client.sendall(block)
        self._break(pair)

    def _pass_request(self, pair: _Pair, block: bytes) -> None:
        fault = self._take(Fault.HANG, Fault.RESET, Fault.SLOW, Fault.HALF)
        match fault:
            case Fault.HANG:
                time.sleep(_HANG_S)
            case Fault.RESET:
                pair.server.sendall(block[: random.randrange(len(block))])
            case Fault.HALF:
                pair.server.sendall(block[: len(block) // 2])
                pair.server.shutdown(socket.SHUT_WR)
                time.sleep(_SLOW_S)
            case Fault.SLOW:
                for at in range(0, min(len(block), 4096), _SLOW_BYTES):
                    pair.server.sendall(block[at : at + _SLOW_BYTES])
                    time.sleep(_SLOW_S)
                pair.server.sendall(block[4096:])
            case _:
                pair.server.sendall(block)
        if fault:
            self.done += 1
        if fault in {Fault.HANG, Fault.RESET, Fault.HALF}:
            raise Broken

    def _take(self, *faults: Fault) -> Fault | None:
        with self._lock:
            order = self._order
            if order not in faults:
                return None
            self._order = None
            return order

    def _break(self, pair: _Pair) -> None:
        self._pairs.discard(pair)
        for each in (pair.client, pair.server):
            with suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            _close(each)


class Balancer(FaultProxy):
    """Gives each new connection to the next of several ports; it asks nobody's health.

    A port that refuses is passed over, as any balancer does.
    """

    def __init__(self, ports: list[int]) -> None:
        super().__init__(("127.0.0.1", ports[0]), begins_http_answer)
        self._ports = ports
        self._turn = 0

    def _serve(self, client: socket.socket) -> None:
        for _ in self._ports:
            self._turn += 1
            port = self._ports[self._turn % len(self._ports)]
            try:
                server = socket.create_connection(("127.0.0.1", port))
            except OSError:
                continue
            pair = _Pair(client, server)
            self._pairs.add(pair)
            _spawn(self._carry_requests, pair)
            _spawn(self._carry_answers, pair)
            return
        _close(client)


def _spawn(target: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=target, args=arguments, daemon=True).start()


def _close(connection: socket.socket) -> None:
    # A close alone does not wake a thread that waits in `accept` or `recv`.
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
