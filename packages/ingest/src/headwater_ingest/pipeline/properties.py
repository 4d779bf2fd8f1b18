"""Properties as they are stored: a map of texts, and JSON where texts do not say all.

The end user's address and agent are taken out here, at every depth: they are for
enrichment, never for the disk.
"""

from collections.abc import Mapping
from typing import Any, Final

from headwater_schema.codec import encode_json
from headwater_schema.limits import MAX_DEPTH

PRIVATE: Final = frozenset({"$ip", "$user_agent"})
"""Names of properties that are never stored."""


def text_properties(properties: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """Returns the scalar properties as texts by name, and the JSON of all if needed.

    The JSON is empty when the map says it all, which is to say: when no property is
    null, a list or an object.
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
        else:
            says_all = False
    for name in PRIVATE:
        texts.pop(name, None)
    if says_all:
        return texts, ""
    kept = _strip(properties, MAX_DEPTH)
    return texts, encode_json(kept).decode() if kept else ""


def _strip(value: Any, levels: int) -> Any:
    """Returns `value` without private properties and without what lies too deep."""
    if isinstance(value, dict):
        return {
            name: _strip(item, levels - 1)
            for name, item in value.items()
            if name not in PRIVATE and (levels or not isinstance(item, dict | list))
        }
    if isinstance(value, list):
        return [
            _strip(item, levels - 1)
            for item in value
            if levels or not isinstance(item, dict | list)
        ]
    return value
