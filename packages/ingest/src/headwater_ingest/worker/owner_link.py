"""A worker's way to its owner: questions, each of which gets its answer."""

import asyncio
import socket
from collections.abc import Callable
from itertools import count
from typing import Final

from headwater_ingest.errors import OwnerGoneError
from headwater_ingest.worker.connection import Connection
from headwater_ingest.worker.protocol import (
    Add,
    Answer,
    Begin,
    Finish,
    ForgetSessions,
    KnownVisit,
    Prolong,
    PutSalts,
    PutSites,
    Question,
    Ready,
    ToWorker,
    WorkerStatus,
    decode_to_worker,
)

Order = Begin | PutSites | PutSalts | Finish
Statement = Ready | Add | ForgetSessions | WorkerStatus

_LAST_NUMBER: Final = 0xFFFFFFFF  # of a frame: a UInt32, of which 0 is no question
_GONE: Final = "the service is gone, and this worker with it: send it again"


class OwnerLink:
    """Asks the owner, and takes its orders. Owned by the loop."""

    def __init__(self, on_order: Callable[[Order], object]) -> None:
        """Prepare; `open` connects.

        Args:
            on_order: Is told what the owner says of itself. That it is gone is told as
                the order to finish.
        """
        self._on_order = on_order
        self._connection = Connection[ToWorker](
            decode_to_worker, on_message=self._receive, on_end=self._end
        )
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._numbers = count()
        self._prolonged: list[KnownVisit] = []

    @property
    def ended(self) -> asyncio.Event:
        """Set once the owner is gone."""
        return self._connection.ended

    async def open(self, sock: socket.socket) -> None:
        """Connect."""
        await self._connection.open(sock)

    def ask(self, question: Question) -> asyncio.Future[Answer]:
        """Return what will be the answer.

        Raises:
            OwnerGoneError: There is nobody to ask, or the future says that nobody has
                answered.
        """
        if self.ended.is_set():
            raise OwnerGoneError(_GONE)
        number = next(self._numbers) % _LAST_NUMBER + 1
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._send(question, number=number)
        return answer

    def tell(self, message: Statement) -> None:
        """Say something that has no answer."""
        self._send(message)

    def prolong_with_next(self, visit: KnownVisit) -> None:
        """Say that a session goes on, along with what is said next.

        So the owner is woken once. What is next comes within a second: the worker says
        how it is.
        """
        self._prolonged.append(visit)

    def close(self) -> None:
        """Say what is left to be said, and end."""
        self._send_prolonged()
        self._connection.close()

    def _send(self, message: Question | Statement, *, number: int = 0) -> None:
        self._send_prolonged()
        self._connection.send(message, number=number)

    def _send_prolonged(self) -> None:
        if self._prolonged:
            self._connection.send(Prolong(self._prolonged))
            self._prolonged = []

    def _receive(self, number: int, message: ToWorker) -> None:
        if isinstance(message, Order):
            self._on_order(message)
            return
        answer = self._asked.pop(number)
        if not answer.done():  # cancelled: who asked has gone
            answer.set_result(message)

    def _end(self) -> None:
        asked, self._asked = self._asked, {}
        for answer in asked.values():
            if not answer.done():
                answer.set_exception(OwnerGoneError(_GONE))
        self._on_order(Finish())
