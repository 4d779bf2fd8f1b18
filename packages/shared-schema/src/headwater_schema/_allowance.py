"""How much of an event may be read before it is clear that nothing can hold it.

It ends what does not end by itself: endless collections, and small ones that hold each
other so often that written out they would fill the memory.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Final

from headwater_schema.errors import RefusedValueError
from headwater_schema.limits import MAX_EVENT_BYTES

_ROOM: Final = 2 * MAX_EVENT_BYTES
"""More than an event has in any encoding, so what is merely too large for one is left
for those who measure it."""

_WORK: Final = 2 * _ROOM
_REFUSAL: Final = 64
"""Bytes of memory that the note of a refusal takes at the least."""


class Allowance:
    """A budget in bytes that values take at the least when they are encoded.

    Attributes:
        room: What the event can still hold. A refused property gives its part back.
        work: What may still be looked at. Nothing is given back.
    """

    __slots__ = ("room", "work")

    def __init__(self) -> None:
        self.room = _ROOM
        self.work = _WORK

    def spend(self, size: int) -> None:
        """Takes `size` bytes, or nothing if there are not as many.

        Raises:
            RefusedValueError: There are not as many.
        """
        if size > self.room or size > self.work:
            raise RefusedValueError("larger than an event may be")
        self.room -= size
        self.work -= size

    def open(self, collection: Sized) -> int:
        """Takes what a collection costs by itself, and two bytes for each item.

        Returns:
            How many items to read, whatever the collection may yield.

        Raises:
            RefusedValueError: They cannot fit; not one of them was read.
        """
        length = len(collection)
        self.spend(1 + 2 * length)
        return length

    def give_back(self, room: int) -> None:
        """Returns to `room` bytes after a property was refused."""
        self.room = room
        self.work -= _REFUSAL

    @property
    def is_spent(self) -> bool:
        """Whether nothing more may be looked at."""
        return self.work <= 0
