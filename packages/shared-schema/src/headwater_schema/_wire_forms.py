"""The wire form of each kind of Python value, and how its kind is told.

The functions here let pass whatever the application's own objects raise while they
are read; `values` is the place that catches it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import islice
from math import isfinite
from numbers import Integral, Real
from typing import Any, Final
from uuid import UUID

import msgspec
import uuid_utils

from headwater_schema._allowance import Allowance
from headwater_schema.errors import RefusedValueError
from headwater_schema.limits import MAX_DEPTH, MAX_INTEGER_DIGITS

_LARGEST: Final = 10**MAX_INTEGER_DIGITS
_name_of: Final[Callable[[type], str]] = type.__dict__["__name__"].__get__
"""Reads the name of a class past a metaclass that has other ideas."""


def form_of(value: object, depth: int, allowance: Allowance) -> Any:
    """Returns the wire form of `value`, which lies in `depth` collections.

    Raises:
        RefusedValueError: There is none.
        Exception: Whatever reading the value raises.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    form = _EXACT.get(kind) or _find_form(value)
    return form(value, depth, allowance)


def form_of_key(key: object, allowance: Allowance) -> str:
    """Returns the wire form of the key of an object: that of a scalar, as text.

    Raises:
        RefusedValueError: There is none.
        Exception: Whatever reading the key raises.
    """
    if type(key) is str:
        return form_of_text(key, 0, allowance)
    form = form_of(key, 0, allowance)
    if isinstance(form, list | dict):
        raise RefusedValueError("a list or an object cannot be a key")
    text = form if isinstance(form, str) else msgspec.json.encode(form).decode()
    allowance.spend(1 + len(text))
    return text


def type_name(value: object) -> str:
    """Returns the name of the type of `value`, whatever that type is."""
    return _name_of(type(value))


def store_text(text: str) -> str:
    """Returns `text` without what cannot be stored."""
    if "\0" in text:
        text = text.replace("\0", "")
    try:
        text.encode()
    except UnicodeEncodeError:
        # UTF-16 joins the halves that belong together before the rest is replaced.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def form_of_text(value: str, _depth: int, allowance: Allowance) -> str:
    """Returns `value` as it can be stored, free of what a subclass made of it."""
    text = str.__str__(value)
    allowance.spend(1 + len(text))
    return text if text.isascii() and "\0" not in text else store_text(text)


def _find_form(value: object) -> _Form:
    for types, form in _FORMS:
        if isinstance(value, types):
            return form
    return _form_of_fields


def _form_of_integer(value: Any, _depth: int, allowance: Allowance) -> int:
    number = int(value)
    if -(2**63) <= number < 2**64:
        return number
    if abs(number) < _LARGEST:
        # Raises where the application has set a lower limit for the length of integers,
        # rather than later in the encoder.
        allowance.spend(len(str(number)))
        return number
    raise RefusedValueError(f"an integer of more than {MAX_INTEGER_DIGITS} digits")


def _form_of_real(value: Any, _depth: int, _allowance: Allowance) -> float | None:
    number = float(value)
    return number if isfinite(number) else None


def _form_of_text_like(value: object, depth: int, allowance: Allowance) -> str:
    return form_of_text(str(value), depth, allowance)


def _form_of_time(value: object, _depth: int, _allowance: Allowance) -> Any:
    return msgspec.to_builtins(value)


def _form_as(base: Callable[..., object], *parts: str) -> _Form:
    """Reads a subclass, such as those of pandas and pendulum, as its base class."""

    def form(value: object, depth: int, allowance: Allowance) -> Any:
        plain = base(**{part: getattr(value, part) for part in parts})
        return _form_of_time(plain, depth, allowance)

    return form


def _form_of_bytes(value: Any, _depth: int, allowance: Allowance) -> Any:
    allowance.spend(1 + memoryview(value).nbytes)
    return msgspec.to_builtins(bytes(value))


def _form_of_enum(value: Enum, depth: int, allowance: Allowance) -> Any:
    return form_of(value.value, depth, allowance)


def _form_of_list(value: Any, depth: int, allowance: Allowance) -> list[Any]:
    _check_depth(depth)
    items = islice(value, allowance.open(value))
    return [form_of(item, depth + 1, allowance) for item in items]


def _form_of_mapping(value: Any, depth: int, allowance: Allowance) -> dict[str, Any]:
    items = islice(value.items(), allowance.open(value))
    return _form_of_items(items, depth, allowance)


def _form_of_items(
    items: Iterable[tuple[object, object]], depth: int, allowance: Allowance
) -> dict[str, Any]:
    _check_depth(depth)
    return {
        form_of_key(key, allowance): form_of(item, depth + 1, allowance)
        for key, item in items
    }


def _form_of_fields(value: object, depth: int, allowance: Allowance) -> dict[str, Any]:
    return _form_of_items(_read_fields(value), depth, allowance)


def _read_fields(value: Any) -> Iterator[tuple[str, object]]:
    """Yields the fields of a dataclass, Struct or attrs instance."""
    if not isinstance(value, type):
        if isinstance(value, msgspec.Struct):
            return _read_struct(value)
        if dataclasses.is_dataclass(value):
            return ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        if hasattr(type(value), "__attrs_attrs__"):
            fields = type(value).__attrs_attrs__
            return ((field.name, getattr(value, field.name)) for field in fields)
    raise RefusedValueError(f"a value of type {type_name(value)} has no wire form")


def _read_struct(value: msgspec.Struct) -> Iterator[tuple[str, object]]:
    config = value.__struct_config__
    if config.tag_field:
        yield config.tag_field, config.tag
    for field in msgspec.structs.fields(value):
        item = getattr(value, field.name)
        if item is not msgspec.UNSET:
            yield field.encode_name, item


def _check_depth(depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise RefusedValueError(f"nested deeper than {MAX_DEPTH} levels")


_PLAIN: Final = frozenset({bool, type(None)})
_Form = Callable[[Any, int, Allowance], Any]

_CLOCK: Final = ("hour", "minute", "second", "microsecond", "tzinfo", "fold")
_CALENDAR: Final = ("year", "month", "day")
_EXACT: Final[Mapping[type, _Form]] = {
    str: form_of_text,
    int: _form_of_integer,
    float: _form_of_real,
    dict: _form_of_mapping,
    list: _form_of_list,
    datetime: _form_of_time,
    date: _form_of_time,
    time: _form_of_time,
    timedelta: _form_of_time,
}

# The first that fits wins: an Enum may also be a text, a datetime is a date.
_FORMS: Final[tuple[tuple[type | tuple[type, ...], _Form], ...]] = (
    (Enum, _form_of_enum),
    (str, form_of_text),
    ((int, Integral), _form_of_integer),
    ((float, Real), _form_of_real),
    ((Decimal, UUID, uuid_utils.UUID), _form_of_text_like),
    (datetime, _form_as(datetime, *_CALENDAR, *_CLOCK)),
    (date, _form_as(date, *_CALENDAR)),
    (time, _form_as(time, *_CLOCK)),
    (timedelta, _form_as(timedelta, "days", "seconds", "microseconds")),
    ((bytes, bytearray, memoryview), _form_of_bytes),
    ((dict, Mapping), _form_of_mapping),
    ((list, tuple, Sequence, AbstractSet), _form_of_list),
)
