"""The props of a web event: scalars by name, stored as text."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from headwater_ingest.enrich.url import Page
from headwater_schema.values import clean_properties

MAX_PROPS: Final = 30
MAX_PROP_NAME_BYTES: Final = 300
MAX_PROP_VALUE_BYTES: Final = 2000

WITH_PATH: Final = frozenset({"404", "WP Form Completions", "Form: Submission"})
"""Events that have the path of their page among their props."""

NO_PROPS: Final[tuple[dict[str, str], int]] = ({}, 0)
_PROP_TOO_LONG: Final = (
    f"keys should have at most {MAX_PROP_NAME_BYTES} bytes and values "
    f"{MAX_PROP_VALUE_BYTES} bytes"
)

Faults = dict[str, list[str]]
"""What is wrong with a request, by field."""


def read_props_object(value: object) -> dict[str, Any]:
    """Returns props as they were sent: an object, or one in JSON."""
    if isinstance(value, str):
        value = _decode(value)
    return value if isinstance(value, dict) else {}


def _decode(text: str) -> object:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    # Only what JSON escapes can still hold what no text may have.
    is_safe = "\\u0000" not in text or not isinstance(value, dict)
    return value if is_safe else clean_properties(value)[0]


def read_props(
    sent: Mapping[str, Any], *, name: str, page: Page, faults: Faults
) -> tuple[dict[str, str], int]:
    """Returns the props as they are stored, and how many were too many."""
    texts = {
        key: text
        for key, value in sent.items()
        if (text := _as_text(value)).lstrip() and key.lstrip()
    }
    if name in WITH_PATH and "path" not in texts:
        texts = {"path": page.pathname, **texts}  # at the head, where none is cut
    kept = dict(list(texts.items())[:MAX_PROPS])
    if any(_is_too_long(key, text) for key, text in kept.items()):
        faults["props"] = [_PROP_TOO_LONG]
    return {key: kept[key] for key in sorted(kept)}, len(texts) - len(kept)


def _as_text(value: object) -> str:
    """Returns a scalar as text; what is none, or null, is empty."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, int | float) else ""


def _is_too_long(key: str, text: str) -> bool:
    return not (fits(key, MAX_PROP_NAME_BYTES) and fits(text, MAX_PROP_VALUE_BYTES))


def fits(text: str, max_bytes: int) -> bool:
    """Whether a text has so few bytes, found out without making them if possible."""
    if len(text) > max_bytes:
        return False
    return text.isascii() or len(text.encode()) <= max_bytes
