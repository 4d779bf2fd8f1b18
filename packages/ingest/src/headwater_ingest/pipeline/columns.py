"""The columns of the events that become rows.

A column that is the same in all rows of a batch stands once, and one that has its
default in all of them does not stand at all.
"""

from collections.abc import Set as AbstractSet
from typing import Any, Final
from uuid import UUID

import msgspec
from siphashc import siphash

from headwater_ingest.pipeline.end_user import Facts
from headwater_ingest.pipeline.identity import IDENTITY_EVENTS
from headwater_ingest.pipeline.properties import (
    PRIVATE,
    Shape,
    text_columns,
    without_private,
)
from headwater_ingest.rows import DEFAULTS, Rows, divide_columns
from headwater_schema.batch import Sdk
from headwater_schema.events import Event
from headwater_schema.limits import MAX_NAME_CHARS

_ZERO_KEY: Final = bytes(16)
"""ClickHouse's `sipHash64` has this key, so that its numbers and ours are the same."""

_SESSION: Final = "$session_id"


class KeptEvents(msgspec.Struct, frozen=True):
    """The events of a batch that become rows.

    Attributes:
        events: The events.
        ids: The id of each.
        times: When each happened.
        shapes: The names of the properties of each.
        names: All of these names.
        facts: What each says of its end user; empty if none says anything.
    """

    events: list[Event]
    ids: list[UUID]
    times: list[int]
    shapes: list[Shape]
    names: AbstractSet[str]
    facts: list[Facts]


def make_rows(
    kept: KeptEvents, *, site_id: int, received_at_ms: int, sdk: Sdk | None
) -> Rows:
    """Makes the rows of some events of a batch."""
    constants: dict[str, Any] = {"site_id": site_id, "received_at": received_at_ms}
    if sdk:
        constants |= {"sdk": sdk.name, "sdk_version": sdk.version[:MAX_NAME_CHARS]}
    same, varying = divide_columns(_make_columns(kept) if kept.events else {})
    ids = [each.int.to_bytes(16, "big") for each in kept.ids]  # `UUID.bytes`, inlined
    return Rows(ids, constants | same, varying)


def _make_columns(kept: KeptEvents) -> dict[str, list[Any]]:
    events = kept.events
    properties = [event.properties for event in events]
    distinct_ids = [event.distinct_id for event in events]
    props, jsons = text_columns(properties, kept.shapes)
    columns: dict[str, list[Any]] = {
        "name": [event.event for event in events],
        "timestamp": kept.times,
        "user_id": [siphash(_ZERO_KEY, each) for each in distinct_ids],
        "distinct_id": distinct_ids,
        "props": props,
        "properties": jsons,
        "groups": _public_groups(events),
    }
    if not IDENTITY_EVENTS.isdisjoint(columns["name"]):
        columns["interactive"] = [
            event.event not in IDENTITY_EVENTS for event in events
        ]
    if _SESSION in kept.names:
        columns["session_id"] = [_session_id(each.get(_SESSION)) for each in properties]
    for name in dict.fromkeys(name for each in kept.facts for name in each):
        columns[name] = [each.get(name, DEFAULTS[name]) for each in kept.facts]
    return columns


def _public_groups(events: list[Event]) -> list[dict[str, str]]:
    groups = [event.groups for event in events]
    if PRIVATE.isdisjoint(set[str]().union(*groups)):
        return groups
    return [without_private(each) for each in groups]


def _session_id(session: object) -> int:
    return siphash(_ZERO_KEY, session) if isinstance(session, str) and session else 0
