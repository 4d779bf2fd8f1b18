"""What becomes of events is counted twice, in metrics and per site, and the same."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from headwater_schema.outcomes import ClientLoss, Outcome, Reason

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


def losses_told(edge: Edge) -> dict[str, float]:
    """Returns what the metrics tell of losses, without what they have not seen."""
    name = "headwater_client_losses_total"
    found = {each.value: edge.counted(name, reason=each) for each in ClientLoss}
    return {reason: count for reason, count in found.items() if count}


def losses_counted(edge: Edge) -> dict[str, int]:
    kinds = counted(edge).items()
    return {reason: count for (what, reason), count in kinds if what == "client_lost"}


def test_losses_of_a_client_count_apart_from_what_was_received(edge: Edge) -> None:
    edge.take(event(1), client_losses={"queue_full": 12, "closed": 1, "undelivered": 0})

    assert losses_counted(edge) == losses_told(edge) == {"queue_full": 12, "closed": 1}
    assert told(edge) == {("accepted", ""): 1}


def test_a_batch_tells_of_losses_once_however_often_it_comes(edge: Edge) -> None:
    for _ in range(3):
        edge.take(event(1), batch_id=BATCH_ID, client_losses={"queue_full": 12})
    body = {"events": [event(2)], "client_losses": {"closed": 1}}
    edge.post_together([body, body, body])

    assert losses_counted(edge) == losses_told(edge) == {"queue_full": 12, "closed": 1}
    assert counted(edge)["duplicate", ""] == 4


def test_another_batch_under_a_known_id_tells_of_no_losses(edge: Edge) -> None:
    edge.take(event(1), batch_id=BATCH_ID, client_losses={"queue_full": 12})
    edge.take(event(2), batch_id=BATCH_ID, client_losses={"queue_full": 12})

    assert losses_counted(edge) == losses_told(edge) == {"queue_full": 12}
    assert counted(edge)["accepted", ""] == 2


def test_batch_that_repeats_events_tells_of_its_own_losses(edge: Edge) -> None:
    edge.take(event(1))
    edge.take(event(1), event(2), client_losses={"queue_full": 12})

    assert losses_counted(edge) == losses_told(edge) == {"queue_full": 12}


def test_reasons_nobody_knows_are_summed_and_no_number_is_too_large(
    edge: Edge,
) -> None:
    losses = {"gremlins": 1, "sunspots": 2, "queue_full": 2**63}
    edge.take(event(1), client_losses=losses)

    expected = {"other": 3, "queue_full": 2**32 - 1}
    assert losses_counted(edge) == losses_told(edge) == expected


@pytest.mark.parametrize("reason", ["batch_refused", "event_refused"])
def test_what_the_service_refused_itself_is_not_counted_twice(
    edge: Edge, reason: str
) -> None:
    edge.take(event(1), client_losses={reason: 5})

    assert losses_counted(edge) == losses_told(edge) == {}
