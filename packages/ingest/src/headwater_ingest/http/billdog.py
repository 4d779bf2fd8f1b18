"""The dialect of the BilldogEng clients, translated into native batches.

They post to the same path with other names for the same things, without ids and without
a time of sending, and they speak of a person's properties on a path of their own. What
they send is read as forgivingly as a native batch: one bad event costs that event.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from headwater_schema.codec import (
    DecodedBatch,
    MalformedBodyError,
    decode_batch,
    encode_json,
)
from headwater_schema.ids import new_batch_id
from headwater_schema.values import clean_properties, clean_text

SDK: Final = {"name": "billdogeng"}
SET: Final = "$set"
"""Name of the event that a request to `/user-properties` becomes."""

_OPERATIONS: Final = frozenset({"$set", "$set_once", "$add", "$append", "$unset"})


def is_billdog(body: bytes) -> bool:
    """Whether a body whose key does not say so is of this dialect."""
    if b'"event_name"' not in body:
        return False
    try:
        events = _load(body).get("events")
    except MalformedBodyError:
        return False
    first = events[0] if isinstance(events, list) and events else None
    return isinstance(first, dict) and "event_name" in first and "event" not in first


def decode_events(body: bytes) -> DecodedBatch:
    """Decodes a body of `POST /ingest-events`.

    Raises:
        MalformedBodyError: It is no object with a list of events.
        TooLargeError: It has too many bytes or events.
    """
    tree = _load(body)
    events = tree.get("events")
    if not isinstance(events, list):
        raise MalformedBodyError("Expected `array` - at `$.events`")
    return _decode(tree, [_translate(event) for event in events])


def decode_user_properties(body: bytes, *, received_at_ms: int) -> DecodedBatch:
    """Decodes a body of `POST /user-properties` into events named `$set`.

    Each event happens a millisecond after the one before, so that they have an order.

    Raises:
        MalformedBodyError: An operation is unknown, or fields are missing.
    """
    tree = _load(body)
    operations = tree.get("operations")
    if not isinstance(operations, list) or not operations:
        raise MalformedBodyError("Expected non-empty `array` - at `$.operations`")
    events = [
        {
            "event": SET,
            "distinct_id": _as_id(tree.get("distinct_id")),
            "timestamp": received_at_ms + place,
            "properties": properties,
        }
        for place, properties in enumerate(_layer(operations))
    ]
    # The client gives a request no id, and a second `$add` of 1 looks just like the
    # first one sent again; so every request counts.
    cleaned = [clean_properties(event)[0] for event in events]
    return _decode(tree, cleaned, batch_id=new_batch_id())


def _load(body: bytes) -> dict[str, Any]:
    try:
        tree = json.loads(body.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError) as error:
        raise MalformedBodyError(f"the body is not JSON: {error}") from None
    if not isinstance(tree, dict):
        raise MalformedBodyError("Expected `object` - at `$`")
    return tree


def _decode(
    tree: Mapping[str, Any], events: Sequence[object], *, batch_id: str | None = None
) -> DecodedBatch:
    """Puts events into a native batch and has it decoded as any other."""
    key = tree.get("api_key")
    envelope = {"events": events, "sdk": SDK, "batch_id": batch_id}
    if isinstance(key, str):
        envelope["api_key"] = clean_text(key)
    return decode_batch(encode_json(envelope))


def _translate(event: object) -> dict[str, Any] | None:
    """Gives an event its native names; what is no event is left for the codec."""
    if not isinstance(event, dict):
        return None
    properties = event.get("properties") or {}
    if isinstance(properties, dict):
        properties, _ = clean_properties(properties)
    translated = {
        "event": event.get("event_name"),
        "distinct_id": _as_id(event.get("user_id")),
        "timestamp": event.get("event_timestamp"),
        "properties": properties,
    }
    groups = properties.pop("$groups", None) if isinstance(properties, dict) else None
    if isinstance(groups, dict):
        translated["groups"] = {kind: _as_id(key) for kind, key in groups.items()}
    return clean_properties(translated)[0]


def _as_id(value: object) -> object:
    """Returns a number as the text that these clients mean by it."""
    return str(value) if isinstance(value, int | float) else value


def _layer(operations: Sequence[object]) -> Iterator[dict[str, Any]]:
    """Yields sets of operations, of which none touches a property twice.

    Within one event operations have no order, so a second one on the same property
    goes into the next event.
    """
    layer: dict[str, Any] = {}
    touched: set[str] = set()
    for index, operation in enumerate(operations):
        kind, key, value = _read_operation(operation, index)
        if key in touched:
            yield layer
            layer, touched = {}, set()
        touched.add(key)
        if kind == "$unset":
            layer.setdefault(kind, []).append(key)
        else:
            layer.setdefault(kind, {})[key] = value
    yield layer


def _read_operation(operation: object, index: int) -> tuple[str, str, object]:
    if not isinstance(operation, dict):
        raise MalformedBodyError(f"Expected `object` - at `$.operations[{index}]`")
    kind, key = operation.get("operation"), operation.get("key")
    if kind not in _OPERATIONS:
        known = ", ".join(sorted(_OPERATIONS))
        raise MalformedBodyError(
            f"Expected one of {known} - at `$.operations[{index}].operation`"
        )
    if not isinstance(key, str) or not key:
        raise MalformedBodyError(
            f"Expected non-empty `str` - at `$.operations[{index}].key`"
        )
    return kind, key, operation.get("value")
