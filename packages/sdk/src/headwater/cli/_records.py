"""Events in a file, line by line: NDJSON as on the wire, or CSV with a header.

One line, or one CSV record, is in memory at a time. Each event without an id gets one
made from the file's name, the number of its line and the line itself, so that a file
that is read again has the same ids; one without a time gets that of the file.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Final
from uuid import UUID

import msgspec

from headwater_schema.ids import derive_batch_id, derive_event_id
from headwater_schema.limits import MAX_EVENT_BYTES

_MAX_LINE_BYTES: Final = 2 * MAX_EVENT_BYTES
"""A longer line cannot be an event; it is skipped in pieces of this size."""


class RecordError(ValueError):
    """A line is no event."""


class Record(msgspec.Struct, kw_only=True):
    """An event as a line says it."""

    event: str
    distinct_id: str | int
    event_id: UUID | None = None
    timestamp: datetime | float | None = None
    properties: dict[str, Any] = {}
    groups: dict[str, str | int] = {}


@dataclass(frozen=True, slots=True)
class Line:
    """One line, or one record, of a file.

    Attributes:
        number: Its number, from 1.
        end: The place in the file where the next one begins.
        event: The event, or why it is none.
        event_id: Its id.
    """

    number: int
    end: int
    event: Record | RecordError
    event_id: UUID


@dataclass(slots=True)
class Position:
    """Where reading is, and is taken up again.

    Attributes:
        offset: Bytes before the next line.
        number: Lines before it.
    """

    offset: int = 0
    number: int = 0


Reader = Callable[[BinaryIO, str, Position], Iterator[Line]]


def read_ndjson(file: BinaryIO, name: str, position: Position) -> Iterator[Line]:
    """Yields the lines of a file from `position` on, which goes along; no empty ones.

    Args:
        file: The file, at the offset of `position`.
        name: What it is called; goes into the ids.
        position: Where to begin.
    """
    for raw in _raw_lines(file, position):
        if not raw.strip():
            continue
        try:
            event: Record | RecordError = _decode(_bounded(raw))
        except _NO_EVENT as error:
            event = RecordError(str(error))
        yield _line(position, event, name, raw)


def read_csv(file: BinaryIO, name: str, position: Position) -> Iterator[Line]:
    """Yields the records of a CSV file from `position` on, as `read_ndjson` does.

    The columns `event`, `distinct_id`, `timestamp` and `event_id` are what they say,
    `groups.TYPE` is a group, and all others are properties. Values are text, unless
    the column's name ends with `:number`, `:boolean` or `:json`; empty ones are none.
    """
    csv.field_size_limit(MAX_EVENT_BYTES)
    start = Position()
    if position.offset:
        file.seek(0)
    header = next(csv.reader(_texts(file, start, [])), [])
    if position.offset:
        file.seek(position.offset)
    else:
        position.offset, position.number = start.offset, start.number
    raw: list[bytes] = []
    records = csv.reader(_texts(file, position, raw))
    while True:
        event: Record | RecordError
        try:
            event = _from_cells(header, next(records))
        except StopIteration:
            return
        except (csv.Error, *_NO_EVENT) as error:
            event = RecordError(str(error))
        content = b"".join(raw)
        raw.clear()
        if content.strip():
            yield _line(position, event, name, content)


def _line(
    position: Position, event: Record | RecordError, name: str, raw: bytes
) -> Line:
    # Four bytes are for the number there; the line itself is in the id, too.
    number = position.number & 0xFFFF_FFFF
    event_id = derive_event_id(derive_batch_id(name, raw.strip()), number)
    return Line(position.number, position.offset, event, event_id)


def _raw_lines(file: BinaryIO, position: Position) -> Iterator[bytes]:
    """Yields lines with their ends; of one that is too long only the beginning."""
    while raw := file.readline(_MAX_LINE_BYTES):
        position.offset += len(raw)
        position.number += 1
        piece = raw
        while len(piece) == _MAX_LINE_BYTES and not piece.endswith(b"\n"):
            piece = file.readline(_MAX_LINE_BYTES)
            position.offset += len(piece)
        yield raw.removeprefix(_BOM)


def _texts(file: BinaryIO, position: Position, kept: list[bytes]) -> Iterator[str]:
    """Yields lines as text, and keeps what they were read from."""
    for raw in _raw_lines(file, position):
        # A record that never ends is cut by the limit for one field.
        kept.append(raw)
        yield raw.decode("utf-8", "replace")


def _bounded(raw: bytes) -> bytes:
    if len(raw) == _MAX_LINE_BYTES:
        raise RecordError(f"the line is longer than {_MAX_LINE_BYTES} bytes")
    return raw


def _from_cells(header: list[str], cells: list[str]) -> Record:
    """Returns the event of one CSV record.

    Raises:
        RecordError: It has more cells than the header, or one that is not of its type.
        msgspec.ValidationError: A field of the event itself is wrong.
    """
    if len(cells) > len(header):
        raise RecordError(f"{len(cells)} cells, but {len(header)} columns")
    fields: dict[str, Any] = {"properties": {}, "groups": {}}
    for title, cell in zip(header, cells, strict=False):
        if not cell:
            continue
        name, _, kind = title.strip().rpartition(":")
        if kind not in _CELLS:
            name, kind = title.strip(), "text"
        value = _read_cell(name, cell, _CELLS[kind])
        if name in _FIELDS:
            fields[name] = value
        elif name.startswith(_GROUP):
            fields["groups"][name.removeprefix(_GROUP)] = value
        else:
            fields["properties"][name] = value
    return msgspec.convert(fields, Record, strict=False)


def _read_cell(name: str, cell: str, read: Callable[[str], Any]) -> Any:
    try:
        return read(cell)
    except (ValueError, KeyError, msgspec.DecodeError):
        raise RecordError(f"column {name!r} cannot be {cell[:50]!r}") from None


_BOM: Final = b"\xef\xbb\xbf"
_GROUP: Final = "groups."
_FIELDS: Final = frozenset({"event", "distinct_id", "timestamp", "event_id"})
_BOOLEANS: Final[Mapping[str, bool]] = {
    "true": True,
    "1": True,
    "yes": True,
    "false": False,
    "0": False,
    "no": False,
}
_CELLS: Final[Mapping[str, Callable[[str], Any]]] = {
    "text": str,
    "number": msgspec.json.Decoder(int | float, strict=False).decode,
    "boolean": lambda cell: _BOOLEANS[cell.strip().lower()],
    "json": msgspec.json.Decoder().decode,
}
_NO_EVENT: Final = (
    RecordError,
    msgspec.DecodeError,
    UnicodeDecodeError,
    RecursionError,
)

_decode: Final = msgspec.json.Decoder(Record).decode
