"""A batch as it was understood: the good events, and what became of the others."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from headwater_schema.batch import Envelope
from headwater_schema.events import Event
from headwater_schema.outcomes import Reason


class RefusedEvent(msgspec.Struct, frozen=True):
    """An event that could not be understood.

    Attributes:
        index: Its place in the batch.
        event_id: Its id, if there was a readable one.
        reason: Why.
        detail: What exactly, with the field named.
    """

    index: int
    event_id: UUID | None
    reason: Reason
    detail: str


class DecodedBatch(msgspec.Struct, frozen=True):
    """A batch as it was understood.

    Attributes:
        envelope: Everything but the events.
        events: Those in good order, their properties in wire form.
        indices: Their places in the batch.
        refused: The others.
        refused_properties: How many properties of the good events were left out.
    """

    envelope: Envelope
    events: list[Event]
    indices: Sequence[int]
    refused: list[RefusedEvent] = []
    refused_properties: int = 0
