"""What the codec needs of a wire format, for JSON and for MessagePack.

The types to decode into are stricter than the public ones, so that whatever passes
them in one step is in its wire form already, apart from NUL in texts: msgspec checks
this while it decodes, for nothing, where a look at each value from Python would cost
a third of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from sys import float_info
from types import GenericAlias
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol
from uuid import UUID

import msgspec
from msgspec import DecodeError, Meta, Raw

from headwater_schema import _json_reader, _message_pack_reader
from headwater_schema.batch import Batch, Envelope
from headwater_schema.events import Event
from headwater_schema.limits import MAX_BATCH_EVENTS

_LEVELS: Final = 5
"""Nesting that the fast way takes; each level doubles the size of the type."""

_MANY_COMMAS: Final = 1_000_000
_Finite = Annotated[float, Meta(ge=-float_info.max, le=float_info.max)]


def _nest(levels: int) -> Any:
    """Returns the type of a wire form: scalars, and so many levels of collections."""
    scalar: Any = bool | int | _Finite | str | None
    value = scalar
    for _ in range(levels):
        arrays, objects = GenericAlias(list, (value,)), GenericAlias(dict, (str, value))
        value = scalar | arrays | objects
    return value


if TYPE_CHECKING:
    _Properties = dict[str, Any]
else:
    _Properties = dict[str, _nest(_LEVELS)]


class CleanEvent(Event, frozen=True, gc=False):
    """An event whose properties are in their wire form."""

    properties: _Properties = msgspec.field(default_factory=dict)


class CleanBatch(Batch, frozen=True, kw_only=True):
    """A batch of such events."""

    events: Annotated[  # type: ignore[assignment] # the list is only ever read
        list[CleanEvent], Meta(max_length=MAX_BATCH_EVENTS)
    ]


class Identified(msgspec.Struct):
    """As much of an event as its answer needs, when the event itself is refused."""

    event_id: UUID


class RawBatch(Envelope, frozen=True, kw_only=True):
    """A batch whose events are not looked at."""

    events: Raw


class Reader(Protocol):
    """Reads what msgspec refuses, and takes it apart without decoding it."""

    def load(self, source: bytes) -> Any:
        """Reads a value."""

    def members(self, source: bytes) -> dict[str, bytes]:
        """Takes an object apart."""

    def elements(self, source: bytes) -> Iterator[bytes]:
        """Takes an array apart."""


@dataclass(frozen=True, slots=True)
class Format:
    """The decoders of a wire format.

    Attributes:
        batch: Decodes a batch in which nothing needs cleaning, but for NUL.
        raw_batch: Decodes its envelope only.
        raw_events: Separates its events, unless there are too many or too odd ones.
        event: Decodes one event in which nothing needs cleaning, but for NUL.
        identified: Decodes its id only.
        has_nul: Tells whether there may be NUL in a text of decoded events.
        reader: Reads the rest.
    """

    batch: Callable[[bytes], Batch]
    raw_batch: Callable[[bytes], RawBatch]
    raw_events: Callable[[bytes], list[Raw] | None]
    event: Callable[[bytes], Event]
    identified: Callable[[bytes], Identified]
    has_nul: Callable[[bytes, Sequence[Event]], bool]
    reader: Reader


def _json_has_nul(source: bytes, _events: Sequence[Event]) -> bool:
    # The search for one byte is much the faster, and most often enough.
    return b"\\" in source and b"\\u0000" in source


def _message_pack_has_nul(source: bytes, events: Sequence[Event]) -> bool:
    return b"\0" in source and b"\\u0000" in msgspec.json.encode(events)


def _separate_json(array: bytes) -> list[Raw] | None:
    # There are no more events than commas, and a list of millions would be large.
    if array.count(b",") > _MANY_COMMAS:
        return None
    try:
        return _decode_json_list(array)
    except (DecodeError, RecursionError):
        return None


def _separate_message_pack(array: bytes) -> list[Raw] | None:
    try:
        return _decode_message_pack_list(array)
    except (DecodeError, RecursionError):
        return None


_RawList = Annotated[list[Raw], Meta(max_length=MAX_BATCH_EVENTS)]
_decode_json_list: Final = msgspec.json.Decoder(_RawList).decode
_decode_message_pack_list: Final = msgspec.msgpack.Decoder(_RawList).decode

JSON: Final = Format(
    batch=msgspec.json.Decoder(CleanBatch).decode,
    raw_batch=msgspec.json.Decoder(RawBatch).decode,
    raw_events=_separate_json,
    event=msgspec.json.Decoder(CleanEvent).decode,
    identified=msgspec.json.Decoder(Identified).decode,
    has_nul=_json_has_nul,
    reader=_json_reader,
)
MESSAGE_PACK: Final = Format(
    batch=msgspec.msgpack.Decoder(CleanBatch).decode,
    raw_batch=msgspec.msgpack.Decoder(RawBatch).decode,
    raw_events=_separate_message_pack,
    event=msgspec.msgpack.Decoder(CleanEvent).decode,
    identified=msgspec.msgpack.Decoder(Identified).decode,
    has_nul=_message_pack_has_nul,
    reader=_message_pack_reader,
)
