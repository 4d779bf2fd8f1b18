"""What was done to an event, step by step: the answer to "why is it not there?".

A trace is of one event and names neither a user agent nor an id of its visitor.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from headwater_ingest.rows import COLUMNS
from headwater_schema.outcomes import Outcome, Reason

_TIMES: Final = frozenset({"timestamp", "received_at"})
_ORDER: Final = {column.name: place for place, column in enumerate(COLUMNS)}

Findings = dict[str, Any]
"""What a step has found out, by name."""


class StepTrace(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a step did.

    Attributes:
        step: Its name.
        set: What it found out; empty if nothing.
        reason: Why the event ends here, if it does.
        detail: What exactly is wrong with it.
    """

    step: str
    set: Findings = {}
    reason: Reason | None = None
    detail: str = ""


class EventTrace(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What was done to an event.

    Attributes:
        event: Which one it is: its domain, or its place in the batch.
        outcome: What became of it.
        reason: Why, if it was left out.
        steps: What was done, in order.
        row: What is stored, without columns that have their default.
    """

    event: str
    outcome: Outcome
    reason: Reason | None = None
    steps: list[StepTrace] = []
    row: dict[str, Any] | None = None


def show_row(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the columns of a row in the order of the table, times as such."""
    return {
        name: to_time(columns[name]) if name in _TIMES else columns[name]
        for name in sorted(columns, key=_ORDER.__getitem__)
    }


def to_time(at_ms: int) -> datetime:
    """Returns a time of epoch milliseconds."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)
