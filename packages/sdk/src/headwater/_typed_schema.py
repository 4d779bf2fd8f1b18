"""JSON Schema of typed events: what their producers and consumers agree on."""

import importlib
import inspect
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final

import msgspec

from headwater._typed import Event

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def events_of(module: ModuleType) -> list[type[Event]]:
    """Returns the events that a module defines or names, by their names.

    Those with subclasses only lend their fields, and are left out.
    """
    found = {
        each
        for each in vars(module).values()
        if inspect.isclass(each)
        and issubclass(each, Event)
        and each is not Event
        and not each.__subclasses__()
    }
    return sorted(found, key=lambda each: each.__event_name__)


def load_events(module_name: str) -> list[type[Event]]:
    """Imports a module and returns its events.

    Raises:
        ImportError: There is no such module, or it cannot be imported.
    """
    return events_of(importlib.import_module(module_name))


def export_schema(events: Sequence[type[Event]], title: str) -> dict[str, Any]:
    """Returns one document that fits the events as they are sent.

    Args:
        events: Whose schema it is.
        title: What they are.
    """
    refs, components = msgspec.json.schema_components(
        events, ref_template="#/$defs/{name}"
    )
    return {
        "$schema": _DIALECT,
        "title": title,
        "oneOf": [
            _wire_form(event, properties)
            for event, properties in zip(events, refs, strict=True)
        ],
        "$defs": components,
    }


def _wire_form(event: type[Event], properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "title": event.__event_name__,
        "properties": {
            "event": {"const": event.__event_name__},
            "properties": properties,
        },
        "required": ["event", "properties"],
    }
