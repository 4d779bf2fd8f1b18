"""Properties as they are stored: a map of texts, and JSON where texts do not say all.

The end user's address and agent are taken out here, at every depth: they are for
enrichment, never for the disk.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from headwater_schema.codec import encode_json

PRIVATE: Final = frozenset({"$ip", "$user_agent"})
"""Names of properties that are never stored."""


Shape = tuple[str, ...]
"""The names of the properties of an event, in the order in which they came."""


def text_columns(
    batch: Sequence[Mapping[str, Any]], shapes: Sequence[Shape]
) -> tuple[list[dict[str, str]], list[str]]:
    """Returns the columns `props` and `properties` of some events.

    A batch has few shapes, so names are sorted once for each of these.

    Args:
        batch: The properties of each event, in their wire form.
        shapes: The names of the properties of each.

    Returns:
        The scalar properties of each as texts, sorted by name. The JSON of all of them
        where the texts do not say it all, which is to say: where a property is null, a
        list or an object.
    """
    orders: dict[Shape, list[str]] = {}
    maps: list[dict[str, str]] = []
    jsons: list[str] = []
    for properties, shape in zip(batch, shapes, strict=True):
        order = orders.get(shape)
        if order is None:
            order = orders[shape] = _sort_public(shape)
        texts: dict[str, str] = {}
        says_all = True
        for name in order:
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
        maps.append(texts)
        jsons.append("" if says_all else encode_json(_strip(properties)).decode())
    return maps, jsons


def text_properties(properties: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """Returns what `text_columns` returns, for one event."""
    (texts,), (json,) = text_columns([properties], [tuple(properties)])
    return texts, json


def without_private(texts: dict[str, str]) -> dict[str, str]:
    """Returns what may be stored; `texts` itself if that is all of it."""
    if PRIVATE.isdisjoint(texts):
        return texts
    return {name: value for name, value in texts.items() if name not in PRIVATE}


def _sort_public(shape: Shape) -> list[str]:
    """Returns the names that may be stored, in the order of their bytes."""
    return sorted(set(shape) - PRIVATE)


def _strip(value: Any) -> Any:
    """Returns `value` without private properties. A wire form has 32 levels at most."""
    if isinstance(value, dict):
        return {
            name: _strip(item) for name, item in value.items() if name not in PRIVATE
        }
    if isinstance(value, list):
        return [_strip(item) for item in value]
    return value
