"""What becomes of events is counted twice, in metrics and per site, and the same."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from headwater_schema.outcomes import Outcome, Reason

if TYPE_CHECKING:
    from packages.ingest.tests.http.conftest import Edge

SITE_ID, OTHER_SITE_ID = 7, 8
OTHER_KEY = "hw_key_of_the_second_site"
BATCH_ID = str(UUID(int=1))


def event(number: int, **fields: object) -> dict[str, object]:
    return {
        "event": "Clicked",
        "distinct_id": "ada",
        "event_id": str(UUID(int=number)),
        **fields,
    }


BOT = event(2, properties={"$user_agent": "Googlebot/2.1"})
LATE = event(3, timestamp=0)


def told(edge: Edge) -> dict[tuple[str, str], float]:
    """Returns what the metrics tell, without what they have not seen."""
    reasons = [(reason.outcome.value, reason.value) for reason in Reason]
    kinds = [(Outcome.ACCEPTED.value, ""), (Outcome.DUPLICATE.value, ""), *reasons]
    found = {
        (outcome, reason): edge.counted(
            "headwater_events_total", outcome=outcome, reason=reason
        )
        for outcome, reason in kinds
    }
    return {kind: count for kind, count in found.items() if count}


def counted(edge: Edge, site_id: int = SITE_ID) -> dict[tuple[str, str], int]:
    return {
        (outcome, reason): events
        for (site, outcome, reason), events in edge.journal.counts.items()
        if site == site_id
    }


def test_every_event_of_a_batch_counts_once(edge: Edge) -> None:
    edge.take(event(1), BOT, LATE, event(4), event(4))

    assert counted(edge) == {
        ("accepted", ""): 2,
        ("duplicate", ""): 1,
        ("dropped", "bot"): 1,
        ("invalid", "timestamp_out_of_range"): 1,
    }
    assert told(edge) == counted(edge)


def test_a_batch_that_comes_again_counts_as_duplicates(edge: Edge) -> None:
    for _ in range(3):
        edge.take(event(1), BOT, LATE, batch_id=BATCH_ID)

    assert counted(edge) == {
        ("accepted", ""): 1,
        ("dropped", "bot"): 1,
        ("invalid", "timestamp_out_of_range"): 1,
        ("duplicate", ""): 6,
    }
    assert told(edge) == counted(edge)


@pytest.mark.parametrize("batch_id", [BATCH_ID, None])
def test_copies_side_by_side_count_as_duplicates(
    edge: Edge, batch_id: str | None
) -> None:
    events = [event(1), event(2)]
    bodies = [{"events": events, "batch_id": batch_id}, {"events": events}]

    edge.post_together([bodies[0], bodies[0], bodies[1]])

    assert counted(edge) == {("accepted", ""): 2, ("duplicate", ""): 4}
    assert told(edge) == counted(edge)


def test_a_batch_that_is_refused_counts_nothing(edge: Edge) -> None:
    edge.post({"events": [event(1)]}, key="hw_nobody_has_this_key")
    edge.post(b"no batch")

    assert not edge.journal.counts
    assert told(edge) == {}


def test_sites_are_counted_apart(edge: Edge) -> None:
    edge.take(event(1))
    edge.post({"events": [event(1), event(2)]}, key=OTHER_KEY)

    assert counted(edge) == {("accepted", ""): 1}
    assert counted(edge, OTHER_SITE_ID) == {("accepted", ""): 2}
