"""Reading JSON that clients send although the standard forbids it.

Forgiven are `NaN` and `Infinity`, lone surrogates, invalid UTF-8, raw control
characters, numbers beyond a double, and nesting without end: each costs no more than
the value it is in. Bodies are taken apart by their brackets, not decoded, so that
memory stays within a few times the body, and no nesting is too deep.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from headwater_schema._unreadable import KEPT_DEPTH, UnreadableValue
from headwater_schema.errors import MalformedBodyError
from headwater_schema.limits import MAX_INTEGER_DIGITS

_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_SCALAR: Final = re.compile(rb'[^ \t\r\n,:"\[\]{}]*')
_TEXT_OR_BRACKET: Final = re.compile(rb'"[^"]*"|[\[\]{}]')


def load(source: bytes) -> Any:
    """Reads a value.

    Raises:
        MalformedBodyError: It is not JSON, however much is forgiven.
    """
    try:
        return _load(source)
    except RecursionError:
        return _load(_Scanner(source).value())


def members(source: bytes) -> dict[str, bytes]:
    """Takes an object apart: the source of each member, cut where it is too deep.

    Raises:
        MalformedBodyError: It is not an object.
    """
    scanner = _Scanner(source)
    scanner.expect(b"{")
    found: dict[str, bytes] = {}
    more = not scanner.take(b"}")
    while more:
        name = load(scanner.text())
        scanner.expect(b":")
        found[name] = scanner.value()
        more = not scanner.take(b"}")
        if more:
            scanner.expect(b",")
    scanner.expect(b"")
    return found


def elements(source: bytes) -> Iterator[bytes]:
    """Takes an array apart: yields the source of each element, cut as in `members`.

    Raises:
        MalformedBodyError: It is not an array.
    """
    scanner = _Scanner(source)
    scanner.expect(b"[")
    more = not scanner.take(b"]")
    while more:
        yield scanner.value()
        more = not scanner.take(b"]")
        if more:
            scanner.expect(b",")
    scanner.expect(b"")


class _Scanner:
    """Walks over the source of values without looking into them."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        # Of the same length, but each quotation mark begins or ends a text.
        self._mask = source.replace(b"\\\\", b"__").replace(b'\\"', b"__")
        self._place = 0

    def take(self, mark: bytes) -> bool:
        """Steps over white space, and over `mark` if it is there; b"" is the end."""
        self._skip_space()
        end = self._place + len(mark) if mark else self._place + 1
        found = self._source[self._place : end] == mark
        if found:
            self._place = end
        return found

    def expect(self, mark: bytes) -> None:
        """Steps over white space and `mark`.

        Raises:
            MalformedBodyError: Something else is there.
        """
        if not self.take(mark):
            raise self._error()

    def value(self) -> bytes:
        """Steps over a value.

        Returns:
            Its source, without what lies in more collections than are kept.

        Raises:
            MalformedBodyError: There is none, or it does not end.
        """
        self._skip_space()
        match self._mask[self._place : self._place + 1]:
            case b"[" | b"{":
                return self._collection()
            case b'"':
                return self.text()
            case _:
                return self._scalar()

    def text(self) -> bytes:
        """Steps over a text and returns its source.

        Raises:
            MalformedBodyError: There is none, or it does not end.
        """
        self._skip_space()
        start = self._place
        if self._mask[start : start + 1] == b'"':
            self._place = self._mask.find(b'"', start + 1) + 1 or start
        if self._place == start:
            raise self._error()
        return self._source[start : self._place]

    def _scalar(self) -> bytes:
        start, self._place = self._place, self._end_of(_SCALAR)
        if self._place == start:
            raise self._error()
        return self._source[start : self._place]

    def _collection(self) -> bytes:
        kept: list[bytes] = []
        start, depth = self._place, 0
        for match in _TEXT_OR_BRACKET.finditer(self._mask, start):
            mark = match[0]
            if mark in (b"[", b"{"):
                depth += 1
                if depth == KEPT_DEPTH:
                    kept.append(self._source[start : match.end()])
            elif mark in (b"]", b"}"):
                if depth == KEPT_DEPTH:
                    start = match.start()
                depth -= 1
                if not depth:
                    self._place = match.end()
                    return b"".join([*kept, self._source[start : self._place]])
        raise self._error()

    def _skip_space(self) -> None:
        self._place = self._end_of(_SPACE)

    def _end_of(self, pattern: re.Pattern[bytes]) -> int:
        match = pattern.match(self._mask, self._place)
        return match.end() if match else self._place

    def _error(self) -> MalformedBodyError:
        return MalformedBodyError(f"JSON is malformed (byte {self._place})")


def _load(source: bytes) -> Any:
    try:
        return json.loads(
            source.decode("utf-8", "replace"),
            strict=False,
            parse_int=_load_integer,
            parse_constant=lambda _name: None,
        )
    except json.JSONDecodeError as error:
        fault = f"{error.msg} (character {error.pos})"
        raise MalformedBodyError(f"JSON is malformed: {fault}") from None


def _load_integer(digits: str) -> int | UnreadableValue:
    is_short = len(digits) <= MAX_INTEGER_DIGITS + digits.startswith("-")
    return int(digits) if is_short else UnreadableValue()
