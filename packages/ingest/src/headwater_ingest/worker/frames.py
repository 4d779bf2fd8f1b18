"""Cuts the bytes of a connection into frames, and makes them; see `protocol.py`."""

from struct import Struct
from typing import Final, NamedTuple

_HEAD: Final = Struct(">II")


class Frame(NamedTuple):
    """One frame.

    Attributes:
        number: Of the question, or 0.
        message: Its bytes.
    """

    number: int
    message: memoryview


class FrameReader:
    """Takes bytes as they come, and returns frames as soon as they are whole."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._needed = _HEAD.size

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that end within these bytes."""
        self._held += data
        if len(self._held) < self._needed:
            return []
        whole = memoryview(bytes(self._held))
        frames, at = [], 0
        self._needed = _HEAD.size
        while len(whole) - at >= _HEAD.size:
            length, number = _HEAD.unpack_from(whole, at)
            end = at + _HEAD.size + length
            if end > len(whole):
                self._needed = end - at
                break
            frames.append(Frame(number, whole[at + _HEAD.size : end]))
            at = end
        del self._held[:at]
        return frames


def begin_frame(buffer: bytearray) -> int:
    """Make room for a head at the end of a buffer, and return where it is."""
    at = len(buffer)
    buffer += bytes(_HEAD.size)
    return at


def end_frame(buffer: bytearray, at: int, *, number: int) -> None:
    """Write the head of a frame whose message lies after it."""
    _HEAD.pack_into(buffer, at, len(buffer) - at - _HEAD.size, number)
