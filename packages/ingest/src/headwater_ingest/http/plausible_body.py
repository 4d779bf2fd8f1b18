"""The body of a web event: JSON under any content type, or a form.

The tracker sends JSON as `text/plain`, which is read up to 1 MB. JSON and forms that
say what they are may have 8 MB.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from headwater_schema.values import clean_properties

MAX_PARSED_BYTES: Final = 8_000_000
MAX_PLAIN_BYTES: Final = 1_000_000

_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_PLAIN: Final = "text/plain"
_KINDS: Final = frozenset({_PLAIN, _JSON, _FORM})
_MULTIPART: Final = "multipart/"
_MAX_FIELDS: Final = 1000
"""A form with more is refused, or cut if it comes in parts."""

_BOUNDARY: Final = re.compile(r'boundary=(?:"([^"]+)"|([^\s;,"]+))', re.IGNORECASE)
_PART_NAME: Final = re.compile(rb'[;\s]name="([^"]*)"', re.IGNORECASE)


class UnreadableBodyError(ValueError):
    """The body is no object."""


class MalformedJsonError(UnreadableBodyError):
    """The body says that it is JSON, and is not."""


def kind_of(content_type: str) -> str:
    """Returns a content type without its parameters."""
    if content_type in _KINDS:
        return content_type
    return content_type.partition(";")[0].strip().lower()


def is_parsed(kind: str) -> bool:
    """Whether a body of this kind is read as what it says it is."""
    return kind in {_JSON, _FORM} or kind.startswith(_MULTIPART)


def is_json(kind: str) -> bool:
    """Whether a body of this kind is read as JSON, whatever it says that it is."""
    return kind != _FORM and not kind.startswith(_MULTIPART)


def is_form(content_type: str) -> bool:
    """Whether a body of this type is read as a form."""
    kind = kind_of(content_type)
    return kind == _FORM or kind.startswith(_MULTIPART)


def max_bytes(kind: str) -> int:
    """Returns how many bytes a body of this kind may have."""
    if kind == _PLAIN:  # what the tracker says
        return MAX_PLAIN_BYTES
    return MAX_PARSED_BYTES if is_parsed(kind) else MAX_PLAIN_BYTES


def read_object(body: bytes, content_type: str) -> Mapping[str, Any]:
    """Returns the fields in a body.

    Raises:
        MalformedJsonError: It says that it is JSON, and is not.
        UnreadableBodyError: It is no object.
    """
    kind = kind_of(content_type)
    if kind == _FORM:
        return _read_form(body)
    if kind.startswith(_MULTIPART):
        return _read_multipart(body, content_type)
    if kind != _JSON:
        return _read_json_object(body)
    try:
        value = _read_json(body or b"{}")
    except UnreadableBodyError as error:
        raise MalformedJsonError(str(error)) from None
    return value if isinstance(value, dict) else {}


def _read_json_object(body: bytes) -> dict[str, Any]:
    value = _read_json(body)
    if not isinstance(value, dict):
        raise UnreadableBodyError("the body is no object")
    return value


def _read_json(body: bytes) -> Any:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _read_odd_json(body)
    return _clean(value) if b"\\u0000" in body else value


def _read_odd_json(body: bytes) -> Any:
    """Reads what JSON allows and no text or number holds: half characters, 1e999."""
    try:
        value = json.loads(body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UnreadableBodyError(f"the body is no JSON: {error}") from None
    return _clean(value)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _clean(value: object) -> object:
    return clean_properties(value)[0] if isinstance(value, dict) else value


def _read_form(body: bytes) -> dict[str, Any]:
    text = _as_text(body)
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise UnreadableBodyError(f"the form has too many fields: {error}") from None
    return _nest(pairs)


def _read_multipart(body: bytes, content_type: str) -> dict[str, Any]:
    match = _BOUNDARY.search(content_type)
    if match is None:
        return {}
    delimiter = b"--" + (match[1] or match[2]).encode()
    pairs = []
    for part in body.split(delimiter, _MAX_FIELDS + 1)[1 : _MAX_FIELDS + 1]:
        head, _, content = part.partition(b"\r\n\r\n")
        if name := _PART_NAME.search(head):
            pairs.append((_as_text(name[1]), _as_text(content.removesuffix(b"\r\n"))))
    return _nest(pairs)


def _as_text(part: bytes) -> str:
    return part.decode("utf-8", "replace")


def _nest(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Returns the fields of a form, `props[plan]=pro` as an object `props`."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        outer, bracket, inner = name.partition("[")
        if not bracket:
            fields[name] = value
        elif isinstance(group := fields.setdefault(outer, {}), dict):
            group[inner.removesuffix("]")] = value
    return clean_properties(fields)[0]
