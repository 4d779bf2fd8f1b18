"""One write to the socket per answer.

Uvicorn writes head and body of an answer one after the other, and uvloop hands each to
the kernel at once: two system calls and two packets, where one does.
"""

import asyncio
from typing import Any


class JoiningTransport(asyncio.Transport):
    """Writes what comes in one turn of the loop at its end, together."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._call_soon = asyncio.get_running_loop().call_soon
        self._parts: list[bytes] = []

    def write(self, data: Any) -> None:
        """Keeps some bytes until the end of the turn."""
        if not self._parts:
            self._call_soon(self._flush)
        self._parts.append(data)

    def write_now(self, data: bytes) -> None:
        """Writes some bytes that need no others."""
        if self._parts:
            self._flush()
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Writes what there is, then closes."""
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether it is closing or closed."""
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        """Lets nothing more arrive."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Lets the rest arrive."""
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Returns what is known of the connection."""
        return self._transport.get_extra_info(name, default)

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts and not self._transport.is_closing():
            self._transport.write(b"".join(parts))
