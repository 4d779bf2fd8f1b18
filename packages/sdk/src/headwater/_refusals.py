"""Which events of a batch an answer refuses."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import msgspec

from headwater._batch import FrozenBatch
from headwater._verdict import Taken
from headwater_schema.outcomes import Outcome

if TYPE_CHECKING:
    from headwater_schema.batch import EventResult

_STORED: Final = frozenset({Outcome.ACCEPTED, Outcome.DUPLICATE})


class _Identified(msgspec.Struct):
    """As much of an encoded event as it takes to find it in an answer."""

    event_id: str


_read_id: Final = msgspec.json.Decoder(_Identified).decode


def refused_places(batch: FrozenBatch, verdict: Taken) -> dict[EventResult, list[int]]:
    """Returns the places in the batch that were refused, grouped by the result."""
    if not verdict.results:
        return {}
    places: dict[str, int] = {}
    for place, event in enumerate(batch.events):
        places.setdefault(_read_id(event).event_id, place)
        places[f"#{place}"] = place
    refusals: dict[EventResult, list[int]] = defaultdict(list)
    for key, result in verdict.results.items():
        if key in places and result.outcome not in _STORED:
            refusals[result].append(places[key])
    return refusals
