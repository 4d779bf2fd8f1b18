"""What `capture` does when the queue is full."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Block(Struct, frozen=True):
    """Wait for room; the new event is dropped where none comes in time.

    ::

        Client(key, host, overflow=Block(timeout=0.5))

    Attributes:
        timeout: Seconds that one `capture` may take.
    """

    timeout: float


Overflow = Literal["drop_oldest", "drop_newest"] | Block
