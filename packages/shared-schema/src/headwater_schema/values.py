"""The wire form of values: what a Python value becomes in JSON or MessagePack.

Every value has a defined form or is refused with a reason, and a refusal costs that
one property, never the event or the batch.

| Python value | wire form |
| --- | --- |
| str | text, NUL removed, lone surrogates replaced by U+FFFD |
| bool, None | true, false, null |
| int and its like | number, up to 4300 digits |
| float and its like | number; NaN and infinities are null |
| Decimal, UUID | text |
| datetime, date, time | RFC 3339 text, the offset as it was given |
| timedelta | ISO 8601 duration |
| bytes, bytearray, memoryview | Base64 text |
| Enum | its value |
| list, tuple, set, deque and their like | array |
| dict and its like, dataclass, Struct, attrs | object; a key is text or a scalar |
| anything else, deeper than 32 levels | refused |
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from numbers import Integral, Real
from typing import Any, Final
from uuid import UUID

import msgspec

from headwater_schema.limits import MAX_DEPTH, MAX_INTEGER_DIGITS

_LARGEST: Final = 10**MAX_INTEGER_DIGITS
_TEXT_LIKE: Final = (datetime, date, time, timedelta, UUID, Decimal)
_BYTES_LIKE: Final = (bytes, bytearray, memoryview)
_LIST_LIKE: Final = (list, tuple, Sequence, AbstractSet, deque)


class RefusedValueError(ValueError):
    """A value has no wire form; the message says why."""


def clean_properties(
    properties: Mapping[Any, object],
) -> tuple[dict[str, Any], dict[str, str]]:
    """Brings the properties of an event into their wire form.

    Returns:
        The properties that have one, and for each of the others why it has none.
    """
    clean: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for key, value in properties.items():
        try:
            clean[_clean_key(key)] = clean_value(value)
        except RefusedValueError as error:
            refused[clean_text(str(key))] = str(error)
        except Exception as error:  # noqa: BLE001 - the value is foreign code
            # An object of the application may raise anything while it is read.
            refused[clean_text(str(key))] = f"reading it raised {error!r}"
    return clean, refused


def clean_value(value: object, *, depth: int = 0) -> Any:
    """Returns the wire form of `value`, made of JSON types only.

    Raises:
        RefusedValueError: There is none.
    """
    if value is None or value is True or value is False:
        return value
    if depth > MAX_DEPTH:
        raise RefusedValueError(f"nested deeper than {MAX_DEPTH} levels")
    for types, clean in _CLEANERS:
        if isinstance(value, types):
            return clean(value, depth)
    return _clean_fields(value, depth)


def clean_text(text: str) -> str:
    """Returns `text` as it can be stored: no NUL, no lone surrogates."""
    if "\0" in text:
        text = text.replace("\0", "")
    try:
        text.encode()
    except UnicodeEncodeError:
        # UTF-16 joins the halves that belong together before the rest is replaced.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _clean_key(key: object) -> str:
    if isinstance(key, Enum):
        key = key.value
    if isinstance(key, str):
        return clean_text(key)
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, int | float | UUID | date | Decimal):
        return str(key)
    raise RefusedValueError(f"a key of type {type(key).__name__} is no text")


def _clean_integer(value: Any, _depth: int) -> int:
    number = int(value)
    if abs(number) >= _LARGEST:
        raise RefusedValueError(f"an integer of more than {MAX_INTEGER_DIGITS} digits")
    return number


def _clean_real(value: Any, _depth: int) -> float | None:
    number = float(value)
    return number if isfinite(number) else None


def _clean_list(value: Any, depth: int) -> list[Any]:
    return [clean_value(item, depth=depth + 1) for item in value]


def _clean_mapping(value: Any, depth: int) -> dict[str, Any]:
    return {
        _clean_key(key): clean_value(item, depth=depth + 1)
        for key, item in value.items()
    }


def _clean_fields(value: object, depth: int) -> dict[str, Any]:
    """Reads the fields of a dataclass, Struct or attrs instance."""
    if isinstance(value, type) or not _has_fields(value):
        raise RefusedValueError(f"a value of type {type(value).__name__} has no form")
    fields: Mapping[str, object]
    if isinstance(value, msgspec.Struct):
        infos = msgspec.structs.fields(value)
        fields = {info.encode_name: getattr(value, info.name) for info in infos}
    elif dataclasses.is_dataclass(value):
        names = (field.name for field in dataclasses.fields(value))
        fields = {name: getattr(value, name) for name in names}
    else:
        attributes = type(value).__attrs_attrs__  # type: ignore[attr-defined] # attrs
        fields = {each.name: getattr(value, each.name) for each in attributes}
    return _clean_mapping(fields, depth)


def _has_fields(value: object) -> bool:
    return (
        isinstance(value, msgspec.Struct)
        or dataclasses.is_dataclass(value)
        or hasattr(type(value), "__attrs_attrs__")
    )


_Cleaner = Callable[[Any, int], Any]

# The first that fits wins: an Enum may also be a str, a bool is an int.
_CLEANERS: Final[tuple[tuple[type | tuple[type, ...], _Cleaner], ...]] = (
    (Enum, lambda value, depth: clean_value(value.value, depth=depth)),
    (str, lambda value, _depth: clean_text(str.__str__(value))),
    (int, _clean_integer),
    (float, _clean_real),
    (dict, _clean_mapping),
    (list, _clean_list),
    (_TEXT_LIKE, lambda value, _depth: msgspec.to_builtins(value)),
    (_BYTES_LIKE, lambda value, _depth: msgspec.to_builtins(bytes(value))),
    (Integral, _clean_integer),
    (Real, _clean_real),
    (Mapping, _clean_mapping),
    (_LIST_LIKE, _clean_list),
)
