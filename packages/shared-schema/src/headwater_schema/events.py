"""The event: who did what, when, with which properties."""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from msgspec import Meta, Struct
from msgspec.structs import astuple

from headwater_schema.limits import MAX_DISTINCT_ID_CHARS, MAX_NAME_CHARS

IDENTIFY: Final = "$identify"
"""States properties of a person: `$set`, `$set_once`, `$unset`."""

SET: Final = "$set"
"""States properties of a person, too; what `/user-properties` takes becomes one."""

GROUP_IDENTIFY: Final = "$groupidentify"
"""States properties of a group: `$group_type`, `$group_key`, `$group_set`."""

CREATE_ALIAS: Final = "$create_alias"
"""States that the id in the property `alias` is the same person."""

Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_NAME_CHARS,
        description="A name of 1 to 200 characters.",
    ),
]
DistinctId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_DISTINCT_ID_CHARS,
        description="The id of a person or a group in the application.",
    ),
]
Timestamp = Annotated[
    datetime | int | float,
    Meta(description="RFC 3339 text (UTC without an offset), or epoch milliseconds."),
]


class Event(Struct, omit_defaults=True, frozen=True, eq=False):
    """Something that happened.

    Attributes:
        event: Its name. Names that begin with `$` are reserved.
        distinct_id: Who did it.
        event_id: Unique id, a UUIDv7 by preference. Without one the service derives
            it from the batch id and the event's place in the batch.
        timestamp: When it happened; without one, when it arrived.
        properties: Whatever else is known. Those that describe the end user's side
            begin with `$`: `$ip`, `$user_agent`, `$current_url`, `$referrer`,
            `$session_id`.
        groups: Group type to group key, such as `{"company": "acme"}`.
    """

    event: Name
    distinct_id: DistinctId
    event_id: UUID | None = None
    timestamp: Timestamp | None = None
    properties: dict[str, Any] = {}
    groups: dict[Name, DistinctId] = {}

    def __eq__(self, other: object) -> bool:
        # The codec decodes into a subclass with stricter types.
        return isinstance(other, Event) and astuple(self) == astuple(other)

    def __ne__(self, other: object) -> bool:
        # Inherited, it would compare the types, too.
        return not self == other

    __hash__ = None  # type: ignore[assignment] # properties are mutable
