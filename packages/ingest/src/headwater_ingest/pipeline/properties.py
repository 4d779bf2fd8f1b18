"""Properties as they are stored: a map of texts, and JSON where texts do not say all.

The end user's address and agent are taken out here, at every depth: they are for
enrichment, never for the disk.
"""

from collections.abc import Mapping
from typing import Any, Final

from headwater_schema.codec import encode_json

PRIVATE: Final = frozenset({"$ip", "$user_agent"})
"""Names of properties that are never stored."""


def text_properties(properties: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """Returns the scalar properties as texts by name, and the JSON of all if needed.

    The JSON is empty when the map says it all, which is to say: when no property is
    null, a list or an object.

    Args:
        properties: Those of a decoded event, which are in their wire form.
    """
    texts: dict[str, str] = {}
    says_all = True
    for name in sorted(properties):
        value = properties[name]
        kind = value.__class__
        if kind is str:
            texts[name] = value
        elif kind is bool:
            texts[name] = "true" if value else "false"
        elif kind is int or kind is float:
            texts[name] = repr(value)
        elif name not in PRIVATE:
            says_all = False
    texts = without_private(texts)
    return texts, "" if says_all else encode_json(_strip(properties)).decode()


def without_private(texts: dict[str, str]) -> dict[str, str]:
    """Returns what may be stored; `texts` itself if that is all of it."""
    if PRIVATE.isdisjoint(texts):
        return texts
    return {name: value for name, value in texts.items() if name not in PRIVATE}


def _strip(value: Any) -> Any:
    """Returns `value` without private properties. A wire form has 32 levels at most."""
    if isinstance(value, dict):
        return {
            name: _strip(item) for name, item in value.items() if name not in PRIVATE
        }
    if isinstance(value, list):
        return [_strip(item) for item in value]
    return value
