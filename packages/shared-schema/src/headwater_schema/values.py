"""The wire form of values: what a Python value becomes in JSON or MessagePack.

Every value has a defined form or is refused with a reason, and a refusal costs that
one property, never the event or the batch. A wire form is its own wire form.

| Python value | wire form |
| --- | --- |
| str | text, NUL removed, lone surrogates replaced by U+FFFD |
| bool, None | true, false, null |
| int and its like | number of up to 4300 digits |
| float and its like | number; NaN and infinities are null |
| Decimal, UUID | text |
| datetime, date, time | RFC 3339 text, the offset as it was given |
| timedelta | ISO 8601 duration |
| bytes, bytearray, memoryview | Base64 text |
| Enum | its value |
| list, tuple, set, deque and their like | array |
| dict and its like, dataclass, Struct, attrs | object |
| the key of an object | the wire form of a scalar, as text |
| anything else | refused |
| lists and objects in each other, deeper than 32 levels | refused |
| what no event could hold | refused |

MessagePack has no numbers beyond 64 bits: there they are text
(`codec.encode_message_pack`).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from headwater_schema._allowance import Allowance
from headwater_schema._wire_forms import form_of, form_of_key, store_text, type_name
from headwater_schema.errors import RefusedValueError

__all__ = [
    "UNLISTED",
    "RefusedValueError",
    "clean_event",
    "clean_properties",
    "clean_text",
    "clean_value",
]

UNLISTED: Final = "*"
"""Stands among refused properties for those that could not even be listed."""

_AS_THEY_ARE: Final = ("properties", "event_id", "timestamp")
_SHOWN_CHARS: Final = 200


def clean_properties(
    properties: Mapping[Any, object],
) -> tuple[dict[str, Any], dict[str, str]]:
    """Brings the properties of an event into their wire form; never raises.

    Returns:
        The properties that have one, and for each of the others why it has none.
    """
    clean: dict[str, Any] = {}
    refused: dict[str, str] = {}
    try:
        _clean_items(properties, clean, refused)
    except Exception as error:  # noqa: BLE001 - a mapping that is foreign code
        refused[UNLISTED] = _explain(error)
    return clean, refused


def clean_event(event: Mapping[Any, object]) -> tuple[dict[str, Any], dict[str, str]]:
    """Brings an event that is still a tree into its wire form.

    Fields without one are left out. Id and time stay as they are, but a time that is
    no finite number is none.

    Returns:
        The event, and for each of its properties without wire form why it has none.
    """
    clean, _refused = clean_properties(
        {name: value for name, value in event.items() if name not in _AS_THEY_ARE}
    )
    clean |= {name: event[name] for name in _AS_THEY_ARE if name in event}
    if isinstance(clean.get("timestamp"), float) and not isfinite(clean["timestamp"]):
        clean["timestamp"] = None
    refused: dict[str, str] = {}
    if isinstance(clean.get("properties"), Mapping):
        clean["properties"], refused = clean_properties(clean["properties"])
    return clean, refused


def clean_value(value: object) -> Any:
    """Returns the wire form of `value`, made of JSON types only.

    Raises:
        RefusedValueError: There is none.
    """
    try:
        return form_of(value, 0, Allowance())
    except Exception as error:  # noqa: BLE001 - a value that is foreign code
        raise RefusedValueError(_explain(error)) from None


def clean_text(text: str) -> str:
    """Returns `text` as it can be stored: no NUL, no lone surrogates."""
    return store_text(text)


def _clean_items(
    properties: Mapping[Any, object], clean: dict[str, Any], refused: dict[str, str]
) -> None:
    allowance = Allowance()
    for key, value in properties.items():
        if allowance.is_spent:
            refused[UNLISTED] = "more properties than an event may have"
            return
        room = allowance.room
        try:
            clean[form_of_key(key, allowance)] = form_of(value, 0, allowance)
        except Exception as error:  # noqa: BLE001 - key and value are foreign code
            allowance.give_back(room)
            refused[_name(key)] = _explain(error)


def _name(key: object) -> str:
    """Returns what to call a refused property, even if its key is the fault."""
    try:
        return form_of_key(key, Allowance())
    except Exception:  # noqa: BLE001 - the key is foreign code
        return f"<{type_name(key)}>"


def _explain(error: Exception) -> str:
    try:
        if isinstance(error, RefusedValueError):
            return str(error)
        said = store_text(repr(error))[:_SHOWN_CHARS]
    except Exception:  # noqa: BLE001 - the error is foreign code
        said = type_name(error)
    return f"reading it raised {said}"
