"""The dialect of the BilldogEng clients, translated into native batches.

They post to the same path with other names for the same things, without ids and without
a time of sending, and they speak of a person's properties on a path of their own. What
they send is read as forgivingly as a native batch: one bad event costs that event.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from msgspec.structs import replace

from headwater_schema.codec import (
    DecodedBatch,
    MalformedBodyError,
    TooLargeError,
    decode_batch,
    encode_json,
)
from headwater_schema.events import SET
from headwater_schema.ids import new_batch_id
from headwater_schema.limits import (
    MAX_BATCH_EVENTS,
    MAX_EVENT_BYTES,
    MAX_INTEGER_DIGITS,
)
from headwater_schema.outcomes import Reason
from headwater_schema.values import clean_properties, clean_text

SDK: Final = {"name": "billdogeng"}
MAX_COMMAS: Final = 1_000_000
"""Bounds the values in a body, each of which costs some 60 bytes while it is read. A
batch of these clients has thousands."""

_TOO_LARGE: Final = f"send at most {MAX_EVENT_BYTES} bytes"
_OPERATIONS: Final = frozenset({"$set", "$set_once", "$add", "$append", "$unset"})


def is_billdog(body: bytes) -> bool:
    """Whether a body whose key does not say so is of this dialect."""
    if b'"event_name"' not in body:
        return False
    try:
        events = _load(body).get("events")
    except (MalformedBodyError, TooLargeError):
        return False
    first = events[0] if isinstance(events, list) and events else None
    return isinstance(first, dict) and "event_name" in first and "event" not in first


def decode_events(body: bytes) -> DecodedBatch:
    """Decodes a body of `POST /ingest-events`.

    Raises:
        MalformedBodyError: It is no object with a list of events.
        TooLargeError: It has too many bytes, values or events.
    """
    tree = _load(body)
    events = tree.get("events")
    if not isinstance(events, list):
        raise MalformedBodyError("Expected `array` - at `$.events`")
    if len(events) > MAX_BATCH_EVENTS:
        raise TooLargeError(f"more than {MAX_BATCH_EVENTS} events; send them in parts")
    translated = [_translate(event) for event in events]
    decoded = _decode(
        _envelope(tree) | {"events": [each.event for each in translated]},
        refused_properties=sum(each.refused_properties for each in translated),
    )
    if not any(each.is_too_large for each in translated):
        return decoded
    return replace(
        decoded,
        refused=[
            replace(each, reason=Reason.EVENT_TOO_LARGE, detail=_TOO_LARGE)
            if translated[each.index].is_too_large
            else each
            for each in decoded.refused
        ],
    )


def decode_user_properties(body: bytes, *, received_at_ms: int) -> DecodedBatch:
    """Decodes a body of `POST /user-properties` into events named `$set`.

    Each event happens a millisecond after the one before, so that they have an order.

    Raises:
        MalformedBodyError: An operation is unknown, or fields are missing.
        TooLargeError: It has too many bytes, values or events.
    """
    tree = _load(body)
    distinct_id, operations = _as_id(tree.get("distinct_id")), tree.get("operations")
    if not isinstance(distinct_id, str) or not distinct_id:
        raise MalformedBodyError("Expected non-empty `str` - at `$.distinct_id`")
    if not isinstance(operations, list) or not operations:
        raise MalformedBodyError("Expected non-empty `array` - at `$.operations`")
    read = [_read_operation(each, index) for index, each in enumerate(operations)]
    kept = [each for each in read if each]
    events = [
        {
            "event": SET,
            "distinct_id": clean_text(distinct_id),
            "timestamp": received_at_ms + place,
            "properties": properties,
        }
        for place, properties in enumerate(_layer(kept))
    ]
    # The client gives a request no id, and a second `$add` of 1 looks just like the
    # first one sent again; so every request counts.
    envelope = _envelope(tree) | {"events": events, "batch_id": new_batch_id()}
    return _decode(envelope, refused_properties=len(read) - len(kept))


def _load(body: bytes) -> dict[str, Any]:
    if body.count(b",") > MAX_COMMAS:
        raise TooLargeError(f"more than {MAX_COMMAS} values; send them in parts")
    try:
        tree = json.loads(
            body.decode("utf-8", "replace"), strict=False, parse_int=_load_integer
        )
    except (ValueError, RecursionError) as error:
        raise MalformedBodyError(f"the body is not JSON: {error}") from None
    if not isinstance(tree, dict):
        raise MalformedBodyError("Expected `object` - at `$`")
    return tree


def _load_integer(digits: str) -> int | float:
    """Reads an integer; one that is too long for Python is as good as infinite."""
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else float(digits)


def _envelope(tree: Mapping[str, Any]) -> dict[str, Any]:
    key = tree.get("api_key")
    return {"sdk": SDK, "api_key": clean_text(key) if isinstance(key, str) else None}


def _decode(batch: Mapping[str, Any], *, refused_properties: int) -> DecodedBatch:
    """Has a native batch decoded as any other."""
    decoded = decode_batch(encode_json(batch))
    return replace(decoded, refused_properties=refused_properties)


@dataclass(frozen=True, slots=True)
class _Translated:
    """An event under its native names.

    Attributes:
        event: What it is; None for the codec to refuse.
        refused_properties: How many it cannot keep.
        is_too_large: That is why there is no event.
    """

    event: dict[str, Any] | None
    refused_properties: int = 0
    is_too_large: bool = False


def _translate(event: object) -> _Translated:
    """Gives an event its native names.

    Where it is not what it should be, it is left so for the codec to say.
    """
    if not isinstance(event, dict):
        return _Translated(None)
    fields, properties = _rename(event)
    clean, left_out = clean_properties(fields)
    if not isinstance(properties, dict):
        # An empty one of its kind is enough for the codec to say what is wrong.
        return _Translated(clean | {"properties": type(properties)()})
    kept, refused = clean_properties(properties)
    # What has no room is left out like what has no wire form: without this look the
    # event would be stored as if it had been small.
    if (left_out or refused) and _is_too_large(fields | {"properties": properties}):
        return _Translated(None, is_too_large=True)
    return _Translated(clean | {"properties": kept}, len(refused))


def _rename(event: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Returns the fields of an event by their native names, and its properties."""
    fields = {
        "event": event.get("event_name"),
        "distinct_id": _as_id(event.get("user_id")),
        "timestamp": event.get("event_timestamp"),
    }
    properties = event.get("properties") or {}
    if isinstance(properties, dict) and isinstance(properties.get("$groups"), dict):
        groups = properties.pop("$groups")
        fields["groups"] = {kind: _as_id(key) for kind, key in groups.items()}
    return fields, properties


def _is_too_large(event: Mapping[str, Any]) -> bool:
    try:
        text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        return False  # deeper than may be, which costs the one property
    return len(text.encode(errors="replace")) > MAX_EVENT_BYTES


def _as_id(value: object) -> object:
    """Returns a number as the text that these clients mean by it."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) or (isinstance(value, float) and isfinite(value)):
        return str(value)
    return value


_Operation = tuple[str, str, Any]


def _layer(operations: Iterable[_Operation]) -> Iterator[dict[str, Any]]:
    """Yields sets of operations, of which none touches a property twice.

    Within one event operations have no order, so a second one on the same property
    goes into the next event.
    """
    layer: dict[str, Any] = {}
    touched: set[str] = set()
    for kind, key, value in operations:
        if key in touched:
            yield layer
            layer, touched = {}, set()
        touched.add(key)
        if kind == "$unset":
            layer.setdefault(kind, []).append(key)
        else:
            layer.setdefault(kind, {})[key] = value
    if layer:
        yield layer


def _read_operation(operation: object, index: int) -> _Operation | None:
    """Returns an operation, or None if its value cannot be stored."""
    if not isinstance(operation, dict):
        raise MalformedBodyError(f"Expected `object` - at `$.operations[{index}]`")
    kind, key = operation.get("operation"), operation.get("key")
    if not isinstance(kind, str) or kind not in _OPERATIONS:
        known = ", ".join(sorted(_OPERATIONS))
        raise MalformedBodyError(
            f"Expected one of {known} - at `$.operations[{index}].operation`"
        )
    if not isinstance(key, str) or not key:
        raise MalformedBodyError(
            f"Expected non-empty `str` - at `$.operations[{index}].key`"
        )
    return _clean_operation(kind, key, operation.get("value"))


def _clean_operation(kind: str, key: str, value: object) -> _Operation | None:
    # As deep as it will stand, since depth is one of the things that are refused.
    clean, _refused = clean_properties({kind: {key: value}})
    return next(((kind, *item) for item in clean.get(kind, {}).items()), None)
