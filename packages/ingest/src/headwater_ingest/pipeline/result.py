"""What the answer to a native batch says of its events."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from headwater_schema.batch import BatchResult, EventResult
from headwater_schema.codec import DecodedBatch, RefusedEvent
from headwater_schema.outcomes import Outcome


def make_result(
    decoded: DecodedBatch,
    refused: Sequence[RefusedEvent],
    *,
    accepted: int,
    duplicates: int,
) -> BatchResult:
    """Returns what the answer says.

    Args:
        decoded: The batch.
        refused: Those of its events that cannot become rows.
        accepted: How many become rows.
        duplicates: How many are known.
    """
    if not refused:
        return BatchResult(accepted=accepted, duplicates=duplicates)
    results = {
        label: EventResult(each.reason.outcome, each.reason, each.detail)
        for label, each in _label(decoded, refused)
    }
    dropped = Counter(
        each.reason for each in results.values() if each.outcome == Outcome.DROPPED
    )
    return BatchResult(
        accepted=accepted,
        duplicates=duplicates,
        dropped=dict(dropped),
        invalid=len(results) - dropped.total(),
        results=results,
    )


def _label(
    decoded: DecodedBatch, refused: Sequence[RefusedEvent]
) -> list[tuple[str, RefusedEvent]]:
    """Labels each with its id, or with its place where the id does not name one."""
    sent: Counter[UUID | None] = Counter(each.event_id for each in decoded.events)
    sent.update(each.event_id for each in decoded.refused)
    sent[None] = 0
    return [
        (str(each.event_id) if sent[each.event_id] == 1 else f"#{each.index}", each)
        for each in refused
    ]
