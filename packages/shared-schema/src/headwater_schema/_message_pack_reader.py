"""Reading MessagePack that the fast decoder refuses.

Forgiven are invalid UTF-8, times out of range, keys that are collections, and nesting
without end: each costs no more than the value it is in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from msgspec import DecodeError, msgpack

from headwater_schema._unreadable import KEPT_DEPTH, UnreadableValue
from headwater_schema.errors import MalformedBodyError


def load(source: bytes) -> Any:
    """Reads a value.

    Raises:
        MalformedBodyError: It is not MessagePack, however much is forgiven.
    """
    try:
        return msgpack.decode(source)
    except _UNREADABLE:
        return _Scanner(source).load(0)


def members(source: bytes) -> dict[str, bytes]:
    """Takes a map apart: the source of each member.

    Raises:
        MalformedBodyError: It is not a map.
    """
    scanner = _Scanner(source)
    count = scanner.open(_MAPS)
    found = {}
    for _ in range(count // 2):
        name = load(scanner.value())
        found[str(name)] = scanner.value()
    scanner.expect_end()
    return found


def elements(source: bytes) -> Iterator[bytes]:
    """Takes an array apart: yields the source of each element.

    Raises:
        MalformedBodyError: It is not an array.
    """
    scanner = _Scanner(source)
    for _ in range(scanner.open(_ARRAYS)):
        yield scanner.value()
    scanner.expect_end()


@dataclass(frozen=True, slots=True)
class _Layout:
    """What follows the first byte of a value.

    Attributes:
        payload: So many bytes belong to it.
        width: So many bytes hold a number.
        counts: So many values follow for each unit of the number. If 0, the number
            adds to the payload.
        values: So many values follow.
    """

    payload: int = 0
    width: int = 0
    counts: int = 0
    values: int = 0


class _Scanner:
    """Walks over the source of values."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._place = 0

    def open(self, kinds: frozenset[int]) -> int:
        """Steps into a collection.

        Returns:
            How many values are in it: two for each member of a map.

        Raises:
            MalformedBodyError: No collection of these kinds is there.
        """
        if self._first() not in kinds:
            raise self._error()
        return self._step()

    def value(self) -> bytes:
        """Steps over a value, however deep, and returns its source.

        Raises:
            MalformedBodyError: It does not end.
        """
        start, pending = self._place, 1
        while pending:
            pending += self._step() - 1
        return self._source[start : self._place]

    def load(self, depth: int) -> Any:
        """Steps over a value and returns it, without what lies too deep.

        Raises:
            MalformedBodyError: It does not end.
        """
        first = self._first()
        if first not in _COLLECTIONS:
            return _load_scalar(self.value())
        if depth == KEPT_DEPTH:
            self.value()
            return []
        count = self._step()
        if first in _ARRAYS:
            return [self.load(depth + 1) for _ in range(count)]
        pairs = range(count // 2)
        return {_as_key(self.load(depth + 1)): self.load(depth + 1) for _ in pairs}

    def expect_end(self) -> None:
        """Checks that nothing follows.

        Raises:
            MalformedBodyError: Something does.
        """
        if self._place != len(self._source):
            raise self._error()

    def _first(self) -> int:
        if self._place >= len(self._source):
            raise self._error()
        return self._source[self._place]

    def _step(self) -> int:
        """Steps over a first byte and its payload; returns how many values follow."""
        layout = _LAYOUTS.get(self._first())
        if layout is None:
            raise self._error()
        number = self._take(1 + layout.width)[1:]
        count = int.from_bytes(number, "big")
        if layout.counts:
            return count * layout.counts
        self._take(layout.payload + count)
        return layout.values

    def _take(self, size: int) -> bytes:
        start, self._place = self._place, self._place + size
        if self._place > len(self._source):
            raise self._error()
        return self._source[start : self._place]

    def _error(self) -> MalformedBodyError:
        return MalformedBodyError(f"MessagePack is malformed (byte {self._place})")


def _load_scalar(source: bytes) -> Any:
    try:
        return msgpack.decode(source)
    except UnicodeDecodeError:
        payload = 1 + _LAYOUTS[source[0]].width
        return source[payload:].decode("utf-8", "replace")
    except DecodeError:  # a time beyond the years that Python knows
        return UnreadableValue()


def _as_key(key: object) -> object:
    return key if isinstance(key, _KEYS) else UnreadableValue()


# A TypeError is what msgspec before 0.22 raises for a map in the place of a key.
_UNREADABLE: Final = (DecodeError, UnicodeDecodeError, RecursionError, TypeError)
_KEYS: Final = (str, bytes, int, float, datetime, type(None))
_MAPS: Final = frozenset({*range(0x80, 0x90), 0xDE, 0xDF})
_ARRAYS: Final = frozenset({*range(0x90, 0xA0), 0xDC, 0xDD})
_COLLECTIONS: Final = _MAPS | _ARRAYS

# As https://github.com/msgpack/msgpack/blob/master/spec.md has them; 0xC1 is not used.
_LAYOUTS: Final[Mapping[int, _Layout]] = {
    **dict.fromkeys([*range(0x80), *range(0xE0, 0x100)], _Layout()),  # integer
    **{0x80 + size: _Layout(values=2 * size) for size in range(16)},  # map
    **{0x90 + size: _Layout(values=size) for size in range(16)},  # array
    **{0xA0 + size: _Layout(payload=size) for size in range(32)},  # text
    **dict.fromkeys((0xC0, 0xC2, 0xC3), _Layout()),  # nil, false, true
    **{0xC4 + power: _Layout(width=1 << power) for power in range(3)},  # bytes
    **{0xC7 + power: _Layout(payload=1, width=1 << power) for power in range(3)},  # ext
    **{0xCA + power: _Layout(payload=4 << power) for power in range(2)},  # float
    **{0xCC + power: _Layout(payload=1 << power) for power in range(4)},  # unsigned
    **{0xD0 + power: _Layout(payload=1 << power) for power in range(4)},  # signed
    **{0xD4 + power: _Layout(payload=1 + (1 << power)) for power in range(5)},  # ext
    **{0xD9 + power: _Layout(width=1 << power) for power in range(3)},  # text
    **{
        0xDC + power: _Layout(width=2 << power, counts=1) for power in range(2)
    },  # array
    **{0xDE + power: _Layout(width=2 << power, counts=2) for power in range(2)},  # map
}
