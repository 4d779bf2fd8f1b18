"""Bytes to batch and back, with the limits enforced while decoding.

A batch in good order is decoded in one pass. Anything else takes a second look, event
by event: one that cannot be understood is set aside with its id and the reason, and
the others go on. That look also forgives what real clients send although JSON forbids
it: `NaN`, `Infinity`, lone surrogates, numbers beyond a double.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import DecodeError, Raw, Struct, ValidationError

from headwater_schema.batch import Answer, Batch, Envelope, ErrorAnswer
from headwater_schema.events import Event
from headwater_schema.limits import (
    MAX_BATCH_BYTES,
    MAX_BATCH_EVENTS,
    MAX_EVENT_BYTES,
    MAX_INTEGER_DIGITS,
)
from headwater_schema.outcomes import Reason
from headwater_schema.values import clean_properties, clean_value

_T = TypeVar("_T")


class BodyError(ValueError):
    """A body cannot be taken; nothing of it was used."""


class MalformedBodyError(BodyError):
    """A body is not a batch; the message names the field."""


class TooLargeError(BodyError):
    """A body is over a limit; the message says which, and what to do."""


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """An event that could not be understood.

    Attributes:
        index: Its place in the batch.
        event_id: Its id, if there was a readable one.
        reason: Why.
        detail: What exactly, with the field named.
    """

    index: int
    event_id: UUID | None
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """A batch as it was understood.

    Attributes:
        envelope: Everything but the events.
        events: Those in good order.
        indices: Their places in the batch.
        refused: The others.
        refused_properties: How many properties could not be stored.
    """

    envelope: Envelope
    events: list[Event]
    indices: Sequence[int]
    refused: list[RefusedEvent] = field(default_factory=list)
    refused_properties: int = 0


class _Identified(Struct):
    """As much of a malformed event as its answer needs."""

    event_id: UUID


class _RawBatch(Envelope, frozen=True, kw_only=True):
    """A batch whose events are not decoded yet."""

    events: list[Raw]


@dataclass(frozen=True, slots=True)
class _Format:
    """The decoders of one wire format.

    Attributes:
        batch: Decodes a batch in good order.
        raw_batch: Decodes the envelope only.
        event: Decodes one event in good order.
        event_id: Decodes its id only.
        tree: Decodes anything, with the forgiveness of the format.
        is_clean: Tells from the bytes and the batch that no value needs cleaning.
    """

    batch: Callable[[bytes], Batch]
    raw_batch: Callable[[bytes], _RawBatch]
    event: Callable[[Raw], Event]
    event_id: Callable[[Raw], UUID]
    tree: Callable[[bytes | Raw], Any]
    is_clean: Callable[[bytes | Raw, Sequence[Event]], bool]


def decode_batch(body: bytes, *, message_pack: bool = False) -> DecodedBatch:
    """Decodes the inflated body of `POST /ingest-events`.

    Args:
        body: JSON or MessagePack.
        message_pack: It is MessagePack.

    Raises:
        MalformedBodyError: It is not a batch.
        TooLargeError: It has too many bytes or events.
    """
    if len(body) > MAX_BATCH_BYTES:
        raise TooLargeError(
            f"the batch has {len(body)} bytes; send at most {MAX_BATCH_BYTES}"
        )
    form = _MESSAGE_PACK if message_pack else _JSON
    # Where the whole body is within the limit of one event, every event is.
    if len(body) <= MAX_EVENT_BYTES:
        batch = _attempt(form.batch, body)
        if batch is not None and form.is_clean(body, batch.events):
            return DecodedBatch(batch, batch.events, range(len(batch.events)))
    return _decode_carefully(body, form)


def decode_answer(body: bytes) -> Answer:
    """Decodes the answer to a batch that was taken.

    Raises:
        MalformedBodyError: The body is not such an answer: something else than
            Headwater spoke.
    """
    return _decode_or_explain(_decode_answer, body)


def decode_error(body: bytes) -> ErrorAnswer:
    """Decodes the answer to a request that was refused.

    Raises:
        MalformedBodyError: The body is not such an answer.
    """
    return _decode_or_explain(_decode_error, body)


def _decode_carefully(body: bytes, form: _Format) -> DecodedBatch:
    envelope, events = _split(body, form)
    if len(events) > MAX_BATCH_EVENTS:
        raise TooLargeError(
            f"the batch has {len(events)} events; send at most {MAX_BATCH_EVENTS}"
        )
    careful = _CarefulDecoder(form)
    for index, event in enumerate(events):
        careful.take(index, event)
    return DecodedBatch(
        envelope,
        careful.events,
        careful.indices,
        careful.refused,
        careful.refused_properties,
    )


def _split(body: bytes, form: _Format) -> tuple[Envelope, Sequence[Any]]:
    """Separates the envelope from events that are still raw or mere trees."""
    try:
        batch = form.raw_batch(body)
    except ValidationError as error:
        raise MalformedBodyError(str(error)) from None
    except (DecodeError, UnicodeDecodeError, RecursionError):
        tree = _decode_or_explain(form.tree, body)
        if not isinstance(tree, dict) or not isinstance(tree.get("events"), list):
            raise MalformedBodyError(
                "Expected an object with an array `events` - at `$`"
            ) from None
        events = tree.pop("events")
        return _decode_or_explain(_convert_envelope, clean_value(tree)), events
    return batch, batch.events


class _CarefulDecoder:
    """Collects the events of one batch, sorted by whether they can be understood."""

    def __init__(self, form: _Format) -> None:
        self._form = form
        self.events: list[Event] = []
        self.indices: list[int] = []
        self.refused: list[RefusedEvent] = []
        self.refused_properties = 0

    def take(self, index: int, source: Raw | Any) -> None:
        """Decodes the event at `index` or notes why it cannot be."""
        if isinstance(source, Raw) and len(source) > MAX_EVENT_BYTES:
            detail = f"{len(source)} bytes; send at most {MAX_EVENT_BYTES}"
            event_id = _attempt(self._form.event_id, source)
            self._refuse(index, event_id, Reason.EVENT_TOO_LARGE, detail)
            return
        event = self._decode_plain(source)
        if event is None:
            event = self._decode_tree(index, source)
        if event is not None:
            self.events.append(event)
            self.indices.append(index)

    def _decode_plain(self, source: Raw | Any) -> Event | None:
        if not isinstance(source, Raw):
            return None
        event = _attempt(self._form.event, source)
        return event if event and self._form.is_clean(source, (event,)) else None

    def _decode_tree(self, index: int, source: Raw | Any) -> Event | None:
        tree = source
        try:
            if isinstance(source, Raw):
                tree = _decode_or_explain(self._form.tree, source)
            return _decode_or_explain(_convert_event, self._clean(tree))
        except MalformedBodyError as error:
            event_id = _attempt(_convert_id, tree)
            self._refuse(index, event_id, Reason.MALFORMED_EVENT, str(error))
            return None

    def _clean(self, tree: object) -> object:
        if not isinstance(tree, dict):
            return tree
        properties = tree.get("properties")
        rest, _refused = clean_properties(
            {key: value for key, value in tree.items() if key != "properties"}
        )
        if isinstance(properties, Mapping):
            rest["properties"], refused = clean_properties(properties)
            self.refused_properties += len(refused)
        elif "properties" in tree:
            rest["properties"] = properties
        return rest

    def _refuse(
        self, index: int, event_id: UUID | None, reason: Reason, detail: str
    ) -> None:
        self.refused.append(RefusedEvent(index, event_id, reason, detail))


def _attempt(decode: Callable[[Any], _T], source: object) -> _T | None:
    try:
        return decode(source)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _decode_or_explain(decode: Callable[[Any], _T], source: object) -> _T:
    try:
        return decode(source)
    except RecursionError:
        raise MalformedBodyError("nested too deeply") from None
    except (ValueError, DecodeError) as error:
        raise MalformedBodyError(str(error)) from None


def _load_json(source: bytes | Raw) -> Any:
    """Reads JSON as Python's own reader does, which takes what msgspec refuses."""
    text = bytes(source).decode("utf-8", "replace")
    return json.loads(
        text, strict=False, parse_int=_parse_int, parse_constant=lambda _name: None
    )


def _parse_int(digits: str) -> int | None:
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else None


def _is_clean_json(source: bytes | Raw, _events: Sequence[Event]) -> bool:
    """Tells that no NUL can be in any text; msgspec has refused the other faults."""
    return b"\\u0000" not in bytes(source)


_PLAIN: Final = frozenset({int, float, bool, type(None)})


def _is_clean_message_pack(_source: bytes | Raw, events: Sequence[Event]) -> bool:
    """Tells that there are only JSON scalars; MessagePack has more types than those."""
    for event in events:
        for text in (event.event, event.distinct_id):
            if "\0" in text:
                return False
        for key, value in event.properties.items():
            if "\0" in key:
                return False
            if type(value) is str:
                if "\0" in value:
                    return False
            elif type(value) not in _PLAIN:
                return False
    return True


encode_json: Final = msgspec.json.Encoder().encode
"""Encodes a struct of this package as JSON."""

encode_message_pack: Final = msgspec.msgpack.Encoder().encode
"""Encodes a struct of this package as MessagePack."""

_decode_json_id: Final = msgspec.json.Decoder(_Identified).decode
_decode_message_pack_id: Final = msgspec.msgpack.Decoder(_Identified).decode
_decode_answer: Final = msgspec.json.Decoder(Answer).decode
_decode_error: Final = msgspec.json.Decoder(ErrorAnswer).decode


def _convert_event(tree: object) -> Event:
    return msgspec.convert(tree, Event)


def _convert_id(tree: object) -> UUID:
    return msgspec.convert(tree, _Identified).event_id


def _convert_envelope(tree: object) -> Envelope:
    return msgspec.convert(tree, Envelope)


_JSON: Final = _Format(
    batch=msgspec.json.Decoder(Batch).decode,
    raw_batch=msgspec.json.Decoder(_RawBatch).decode,
    event=msgspec.json.Decoder(Event).decode,
    event_id=lambda raw: _decode_json_id(raw).event_id,
    tree=_load_json,
    is_clean=_is_clean_json,
)
_MESSAGE_PACK: Final = _Format(
    batch=msgspec.msgpack.Decoder(Batch).decode,
    raw_batch=msgspec.msgpack.Decoder(_RawBatch).decode,
    event=msgspec.msgpack.Decoder(Event).decode,
    event_id=lambda raw: _decode_message_pack_id(raw).event_id,
    tree=msgspec.msgpack.Decoder().decode,
    is_clean=_is_clean_message_pack,
)
