"""The columns of rows, as far as one event is not like another."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from headwater_ingest.pipeline.columns import KeptEvents, make_rows
from headwater_ingest.rows import Rows
from headwater_schema.events import Event

IDENTITY = ["$identify", "$set", "$groupidentify", "$create_alias"]


def rows_of(*names: str) -> Rows:
    properties: dict[str, Any] = {"$session_id": "s"}
    events = [Event(name, "ada", properties=properties) for name in names]
    ids = [UUID(int=place) for place in range(len(events))]
    shapes = [tuple(properties)] * len(events)
    kept = KeptEvents(events, ids, [0] * len(events), shapes, set(properties), [])
    return make_rows(kept, site_id=7, received_at_ms=0, sdk=None)


@pytest.mark.parametrize("name", IDENTITY)
def test_to_state_who_somebody_is_is_no_interaction(name: str) -> None:
    assert rows_of(name).constants["interactive"] is False
    assert rows_of("Clicked", name).varying["interactive"] == [True, False]


@pytest.mark.parametrize("name", ["Clicked", "pageview", "$pageview", "$screen"])
def test_whatever_else_somebody_does_is_one(name: str) -> None:
    rows = rows_of(name, "Clicked")

    assert "interactive" not in {**rows.constants, **rows.varying}
