"""Bytes to batch and back, with the limits enforced while decoding.

A batch in good order is decoded in one pass. Anything else takes a second look, event
by event: one that cannot be understood is set aside with its id and the reason, and
the others go on. That look also forgives what real clients send although the format
forbids it: `NaN`, `Infinity`, lone surrogates, invalid UTF-8, numbers beyond a double.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from headwater_schema._careful import (
    NOT_PLAIN,
    decode_carefully,
    envelope_of,
    events_fit,
)
from headwater_schema._formats import JSON, MESSAGE_PACK
from headwater_schema.answers import decode_answer, decode_error
from headwater_schema.decoded import DecodedBatch, RefusedEvent
from headwater_schema.errors import BodyError, MalformedBodyError, TooLargeError
from headwater_schema.limits import MAX_BATCH_BYTES

__all__ = [
    "BodyError",
    "DecodedBatch",
    "MalformedBodyError",
    "RefusedEvent",
    "TooLargeError",
    "decode_answer",
    "decode_batch",
    "decode_error",
    "encode_json",
    "encode_message_pack",
]


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
    form = MESSAGE_PACK if message_pack else JSON
    if events_fit(body, form):
        try:
            batch = form.batch(body)
        except NOT_PLAIN:
            return decode_carefully(body, form)
        events = batch.events
        if not form.has_nul(body, events):
            return DecodedBatch(envelope_of(batch), events, range(len(events)))
    return decode_carefully(body, form)


def encode_message_pack(value: Any) -> bytes:
    """Encodes a struct of this package as MessagePack.

    MessagePack has no integers beyond 64 bits: those become the text of their digits.
    """
    try:
        return _encode_message_pack(value)
    except OverflowError:
        return _encode_message_pack(_shorten(msgspec.to_builtins(value)))


def _shorten(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shorten(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_shorten(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    return value


encode_json: Final = msgspec.json.Encoder().encode
"""Encodes a struct of this package as JSON."""

_encode_message_pack: Final = msgspec.msgpack.Encoder().encode
