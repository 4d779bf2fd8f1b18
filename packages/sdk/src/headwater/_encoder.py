"""One captured event to its bytes on the wire, in one pass where nothing is wrong.

msgspec writes everything that a Python programmer puts into a dict: dates, decimals,
UUIDs, enums, sets, bytes, dataclasses; NaN becomes null. Only what it refuses, or
what cannot be stored (NUL, lone surrogates), takes the slow way, in which a value
without wire form costs that one property.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec

from headwater._errors import InvalidEventError
from headwater_schema.clock import to_ms
from headwater_schema.limits import MAX_DEPTH, MAX_DISTINCT_ID_CHARS, MAX_NAME_CHARS
from headwater_schema.new_ids import new_event_id
from headwater_schema.values import clean_properties, clean_text

PersonId = str | int | UUID
"""What names a person or a group: text, or a key of a database."""

_NESTED: Final = ("$set", "$set_once", "$add", "$append", "$group_set")
"""Properties of reserved events that hold properties themselves."""

_IDS: Final = frozenset({"alias", "$group_key"})
"""Properties of reserved events that are ids."""

_MAX_LEVELS: Final = MAX_DEPTH + 2
"""Deepest nesting of an encoded event: itself, its properties, and what is in one."""

_ALL_BUT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_AS_ARRAYS: Final = bytes.maketrans(b"{}", b"[]")
_BACKSLASH: Final = b"\\"
_NUL: Final = b"\\u0000"


class _WireEvent(msgspec.Struct, omit_defaults=True):
    """The fields of `headwater_schema.events.Event`, in types that encode fast."""

    event: str
    distinct_id: str
    event_id: str
    timestamp: int
    properties: Mapping[str, object] = {}
    groups: Mapping[str, str] = {}


_encode: Final = msgspec.json.Encoder().encode


def encode_event(  # noqa: PLR0913 - the parts of an event
    event: object,
    distinct_id: object,
    properties: object,
    *,
    groups: object,
    timestamp: object,
    event_id: object,
    now_ms: int,
) -> tuple[str, bytes, dict[str, str]]:
    """Returns id and bytes of an event, and why some of its properties are missing.

    Args:
        event: Its name.
        distinct_id: Who did it.
        properties: Anything; nothing of it is kept.
        groups: Group types and keys.
        timestamp: When it happened, or None for `now_ms`.
        event_id: Its id, or None for a new one.
        now_ms: Milliseconds since the epoch.

    Raises:
        InvalidEventError: A field of the event itself is wrong.
    """
    refused: dict[str, str] = {}
    if type(event) is not str or not 0 < len(event) <= MAX_NAME_CHARS:
        event = _checked_text("event", event, MAX_NAME_CHARS)
    if (
        type(distinct_id) is not str
        or not 0 < len(distinct_id) <= MAX_DISTINCT_ID_CHARS
    ):
        distinct_id = _checked_id("distinct_id", distinct_id)
    if properties is None:
        properties = {}
    elif type(properties) is not dict and not isinstance(properties, Mapping):
        raise InvalidEventError(
            f"properties must be a mapping, not {type(properties).__name__}"
        )
    if event[0] == "$":
        properties = _checked_statement(properties)
    wire = _WireEvent(
        event,
        distinct_id,
        new_event_id() if event_id is None else _checked_uuid(event_id),
        now_ms if timestamp is None else _checked_time(timestamp),
        properties,
    )
    if groups is not None:
        wire.groups = _checked_groups(groups, refused)
    try:
        payload = _encode(wire)
    except Exception:  # noqa: BLE001 - the values are foreign code and may raise anything
        payload = _NUL
    # Looking for one byte first is six times faster than for the six of it. What has
    # few brackets cannot be deep.
    if (_BACKSLASH in payload and _NUL in payload) or (
        payload.count(b"[") + payload.count(b"{") > _MAX_LEVELS and _is_deep(payload)
    ):
        payload = _encode_carefully(wire, refused)
    return wire.event_id, payload, refused


def _is_deep(payload: bytes) -> bool:
    """Whether an event may be nested deeper than allowed.

    It is also true where brackets in texts make it look so: that costs some time.
    """
    brackets = payload.translate(_AS_ARRAYS, _ALL_BUT_BRACKETS)
    for _ in range(_MAX_LEVELS):
        if not brackets:
            return False
        # This takes away one level: what is innermost.
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _encode_carefully(wire: _WireEvent, refused: dict[str, str]) -> bytes:
    wire.event = _checked_text("event", wire.event, MAX_NAME_CHARS)
    wire.distinct_id = _checked_id("distinct_id", wire.distinct_id)
    clean, why = clean_properties(
        {k: v for k, v in wire.properties.items() if k not in _NESTED}
    )
    refused.update(why)
    for name in _NESTED:
        inner = wire.properties.get(name)
        if isinstance(inner, Mapping):
            clean[name], why = _clean_stated(inner)
            refused.update({f"{name}.{key}": reason for key, reason in why.items()})
    wire.properties = clean
    return _encode(wire)


def _clean_stated(
    stated: Mapping[str, object],
) -> tuple[dict[str, object], dict[str, str]]:
    """Cleans what is one level deeper than properties are, to the service too."""
    clean, refused = clean_properties({name: [stated[name]] for name in stated})
    return {name: value[0] for name, value in clean.items()}, refused


def _checked_statement(properties: Mapping[str, object]) -> dict[str, object]:
    """Returns the properties of a reserved event, with its ids as text."""
    checked = dict(properties)
    for name in _NESTED:
        if not isinstance(checked.get(name, {}), Mapping):
            raise InvalidEventError(f"the properties to {name} must be a mapping")
    for name in _IDS & checked.keys():
        checked[name] = _checked_id(name, checked[name])
    if "$group_type" in checked:
        checked["$group_type"] = _checked_text(
            "$group_type", checked["$group_type"], MAX_NAME_CHARS
        )
    return checked


def _checked_text(field: str, text: object, max_chars: int) -> str:
    if not isinstance(text, str):
        raise InvalidEventError(f"{field} must be text, not {type(text).__name__}")
    # An enum that is also a str has a __str__ of its own.
    clean = clean_text(str.__str__(text))
    if 0 < len(clean) <= max_chars:
        return clean
    raise InvalidEventError(
        f"{field} has {len(clean)} characters, not 1 to {max_chars}"
    )


def _checked_id(field: str, value: object) -> str:
    if value is None:
        raise InvalidEventError(
            f"there is no {field}: give one, or capture in a context(distinct_id=...)"
        )
    if isinstance(value, int | UUID) and not isinstance(value, bool):
        value = str(value)
    return _checked_text(field, value, MAX_DISTINCT_ID_CHARS)


def _checked_uuid(event_id: object) -> str:
    try:
        return str(UUID(str(event_id)))
    except ValueError:
        raise InvalidEventError(f"event_id must be a UUID, not {event_id!r}") from None


def _checked_time(timestamp: object) -> int:
    if not isinstance(timestamp, datetime):
        raise InvalidEventError(
            f"timestamp must be a datetime, not {type(timestamp).__name__}"
        )
    try:
        # One without offset is local time: Python's own rule.
        return to_ms(timestamp.astimezone(UTC))
    except (OverflowError, ValueError, OSError) as error:
        raise InvalidEventError(f"timestamp {timestamp!r}: {error}") from None


def _checked_groups(groups: object, refused: dict[str, str]) -> dict[str, str]:
    if not isinstance(groups, Mapping):
        raise InvalidEventError(
            f"groups must be a mapping, not {type(groups).__name__}"
        )
    checked = {}
    for group_type, key in groups.items():
        try:
            name = _checked_text("group type", group_type, MAX_NAME_CHARS)
            checked[name] = _checked_id("group key", key)
        except InvalidEventError as error:
            refused[f"groups.{group_type}"] = str(error)
    return checked
