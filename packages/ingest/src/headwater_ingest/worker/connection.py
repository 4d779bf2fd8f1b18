"""One end of the connection between a worker and its owner.

What is sent within one turn of the loop goes out in one write.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from headwater_ingest.worker.frames import FrameReader, begin_frame, end_frame
from headwater_ingest.worker.protocol import ToOwner, ToWorker, encoder

Received = TypeVar("Received")


class Connection(asyncio.Protocol, Generic[Received]):
    """Sends and receives messages. Owned by the loop.

    Attributes:
        ended: Set once all has been received that the other end has sent, and it is
            gone.
    """

    def __init__(
        self,
        decode: Callable[[memoryview], Received],
        *,
        on_message: Callable[[int, Received], object],
        on_end: Callable[[], object],
    ) -> None:
        """Prepare an end.

        Args:
            decode: Reads what the other end says.
            on_message: Is told of each message, with the number of its frame.
            on_end: Is told that the other end is gone.
        """
        self._decode = decode
        self._on_message = on_message
        self._on_end = on_end
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._unsent = bytearray()
        self._is_flush_due = False
        self.ended = asyncio.Event()

    async def open(self, sock: socket.socket) -> None:
        """Begin to speak over a socket."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, sock=sock)

    def send(self, message: ToOwner | ToWorker, *, number: int = 0) -> None:
        """Send a message; to nobody, if the other end is gone."""
        if self._transport is None:
            return
        at = begin_frame(self._unsent)
        encoder.encode_into(message, self._unsent, -1)
        end_frame(self._unsent, at, number=number)
        if not self._is_flush_due:
            self._is_flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def close(self) -> None:
        """Send what is to be sent, and end."""
        if self._transport is not None:
            self._flush()
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        # That of uvloop is one in all but name.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Tell of the messages that are whole now."""
        for number, message in self._reader.feed(data):
            self._on_message(number, self._decode(message))

    def connection_lost(self, _error: Exception | None) -> None:
        """Tell that the other end is gone."""
        self._transport = None
        self.ended.set()
        self._on_end()

    def _flush(self) -> None:
        self._is_flush_due = False
        if self._transport is not None and self._unsent:
            self._transport.write(bytes(self._unsent))
            self._unsent.clear()
