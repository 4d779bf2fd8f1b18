"""JSON Schema (2020-12) of the structs, with their docstrings as descriptions."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from headwater_schema import batch, events
from headwater_schema.batch import Answer, Batch, ErrorAnswer
from headwater_schema.outcomes import ErrorCode, Outcome, Reason

Schema = dict[str, Any]

ROOTS: Final[Mapping[str, type[Struct]]] = {
    "batch": Batch,
    "answer": Answer,
    "error": ErrorAnswer,
}
"""The messages on the wire, by the names of their schema files."""

_STRUCTS: Final[Mapping[str, type[Struct]]] = {
    name: each
    for name, each in (vars(batch) | vars(events)).items()
    if isinstance(each, type) and issubclass(each, Struct)
}
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_ATTRIBUTE: Final = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)

# Lists that grow are examples, not an `enum`: a client must take what it does not know.
_EXAMPLES: Final[Mapping[tuple[str, str], list[str]]] = {
    ("EventResult", "outcome"): [Outcome.DROPPED, Outcome.INVALID],
    ("EventResult", "reason"): list(Reason),
    ("ErrorAnswer", "code"): list(ErrorCode),
}


def document(root: type[Struct]) -> Schema:
    """Returns the schema of `root`, complete in one document."""
    components = describe([root], ref_template="#/$defs/{name}")
    main = components.pop(root.__name__)
    return {
        "$schema": _DIALECT,
        **main,
        **({"$defs": components} if components else {}),
    }


def describe(structs: list[type[Struct]], *, ref_template: str) -> dict[str, Schema]:
    """Returns the schemas of `structs` and of all that they refer to, by name."""
    _, components = msgspec.json.schema_components(structs, ref_template=ref_template)
    return {name: _tidy(name, schema) for name, schema in components.items()}


def _tidy(name: str, schema: Schema) -> Schema:
    attributes = _read_attributes(_STRUCTS[name])
    for field, each in schema["properties"].items():
        texts = [attributes.get(field, ""), *_flatten(each)]
        each["description"] = " ".join(text for text in texts if text)
        if (name, field) in _EXAMPLES:
            each["examples"] = _EXAMPLES[name, field]
    if not schema["required"]:
        del schema["required"]
    return schema | {"description": _read_summary(_STRUCTS[name])}


def _read_summary(struct: type[Struct]) -> str:
    """Returns the docstring without attributes, one line for each paragraph."""
    text, _, _ = inspect.cleandoc(struct.__doc__ or "").partition("\n\nAttributes:\n")
    return "\n\n".join(" ".join(each.split()) for each in text.split("\n\n"))


def _read_attributes(struct: type[Struct]) -> dict[str, str]:
    """Returns what the docstrings of a struct and its bases say of its fields."""
    found: dict[str, str] = {}
    for each in reversed(struct.__mro__):
        _, _, listed = inspect.cleandoc(each.__doc__ or "").partition("Attributes:\n")
        found |= {
            name: " ".join(lines.split()) for name, lines in _ATTRIBUTE.findall(listed)
        }
    return found


def _flatten(schema: Schema) -> list[str]:
    """Joins a choice within a choice; returns what the inner one says of itself."""
    choices: list[Schema] = []
    for choice in schema.get("anyOf", []):
        choices += choice.get("anyOf", [choice])
    texts = [each["description"] for each in schema.get("anyOf", []) if "anyOf" in each]
    if choices:
        schema["anyOf"] = choices
    return texts
