"""What a site's limits do to its batches."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

if TYPE_CHECKING:
    import httpx
    from packages.ingest.tests.http.conftest import Edge

OTHER_KEY = "hw_key_of_the_second_site"
BATCH_ID = str(UUID(int=5))
BAD = {"event": "Clicked", "distinct_id": "ada", "timestamp": 0}
SECONDS_LEFT = 55  # of the minute of the clock in the tests


def events(count: int, **fields: object) -> list[dict[str, object]]:
    return [
        {"event": "Clicked", "distinct_id": "ada", "event_id": str(uuid4()), **fields}
        for _ in range(count)
    ]


def limit(edge: Edge, **limits: Any) -> None:
    """Gives the first site other limits."""
    first, *others = edge.sites.sites
    edge.sites.replace([replace(first, **limits), *others])


def post(edge: Edge, *batch: object, **envelope: object) -> httpx.Response:
    return edge.post({"events": list(batch), **envelope})


def test_a_blocked_site_is_refused(edge: Edge) -> None:
    limit(edge, rate_limit=0)

    answer = post(edge, *events(1))

    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "site_blocked"
    assert "retry-after" not in answer.headers
    assert edge.rows() == []
    assert edge.counted("headwater_requests_refused_total", code="site_blocked") == 1
    assert edge.counted("headwater_events_total") == 0


@pytest.mark.parametrize(
    "limits,told",
    [
        ({"accept_traffic_until": date(2025, 1, 1)}, "its time is up"),
        ({"monthly_quota": 0}, "used up its events of this month"),
    ],
)
def test_a_site_whose_plan_has_ended_is_refused(
    limits: dict[str, object], told: str, edge: Edge
) -> None:
    limit(edge, **limits)

    answer = post(edge, *events(1))

    assert answer.status_code == 402
    assert answer.json()["code"] == "quota_exceeded"
    assert told in answer.json()["message"]
    assert "retry-after" not in answer.headers


def test_a_batch_without_room_is_to_come_again_and_counts_nothing(edge: Edge) -> None:
    limit(edge, rate_limit=5)
    edge.take(*events(3))

    refused = post(edge, *events(3))

    assert refused.status_code == 429
    assert refused.json()["code"] == "throttled"
    assert refused.headers["retry-after"] == str(SECONDS_LEFT)
    assert edge.take(*events(2))["accepted"] == 2
    assert len(edge.rows()) == 5


def test_a_batch_that_was_refused_is_taken_in_the_next_window(edge: Edge) -> None:
    limit(edge, rate_limit=3)
    edge.take(*events(3))
    batch = {"events": events(3), "batch_id": BATCH_ID}
    assert edge.post(batch).status_code == 429

    edge.now_ms += SECONDS_LEFT * 1000

    assert edge.post(batch).json()["data"]["accepted"] == 3


def test_a_batch_larger_than_the_limit_is_cut(edge: Edge) -> None:
    limit(edge, rate_limit=2)
    sent = events(4)

    data = edge.take(*sent)

    assert (data["accepted"], data["dropped"]) == (2, {"throttle": 2})
    assert data["results"].keys() == {each["event_id"] for each in sent[2:]}
    assert {each["outcome"] for each in data["results"].values()} == {"dropped"}
    stored = [str(row["event_id"]) for row in edge.rows()]
    assert stored == [each["event_id"] for each in sent[:2]]
    counted = edge.counted(
        "headwater_events_total", outcome="dropped", reason="throttle"
    )
    assert counted == 2


def test_events_without_an_id_are_dropped_by_their_place(edge: Edge) -> None:
    limit(edge, rate_limit=1)

    data = edge.take(
        {"event": "a", "distinct_id": "d"},
        BAD,
        BAD,
        *[{"event": "b", "distinct_id": "d"}] * 2,
    )

    assert data["results"].keys() == {"#1", "#2", "#3", "#4"}
    assert (data["accepted"], data["invalid"]) == (1, 2)
    assert data["dropped"] == {"throttle": 2}


def test_a_batch_that_was_cut_gets_the_same_answer_again(edge: Edge) -> None:
    limit(edge, rate_limit=2)
    batch = {"events": events(4), "batch_id": BATCH_ID}

    first = edge.post(batch).json()["data"]
    edge.now_ms += 60_000
    again = edge.post(batch).json()["data"]

    assert (again["accepted"], again["duplicates"]) == (0, 2)
    assert again["dropped"] == first["dropped"]
    assert again["results"] == first["results"]
    assert edge.take(*events(2))["accepted"] == 2  # the repeat took no room


def test_what_is_known_or_faulty_takes_no_room(edge: Edge) -> None:
    known = events(2)
    edge.take(*known)
    limit(edge, rate_limit=2)

    data = edge.take(*known, BAD, *events(2))

    assert (data["accepted"], data["duplicates"], data["invalid"]) == (2, 2, 1)


def test_a_batch_that_was_taken_is_known_whatever_became_of_the_site(
    edge: Edge,
) -> None:
    batch = {"events": events(2), "batch_id": BATCH_ID}
    edge.post(batch)
    limit(edge, rate_limit=0)

    assert edge.post(batch).json()["data"]["duplicates"] == 2
    assert edge.take(*batch["events"])["duplicates"] == 2


def test_other_events_under_a_known_batch_id_ask_the_gate(edge: Edge) -> None:
    post(edge, *events(2), batch_id=BATCH_ID)
    limit(edge, rate_limit=0)

    assert post(edge, *events(2), batch_id=BATCH_ID).status_code == 403


def test_a_quota_is_held_to_the_event(edge: Edge) -> None:
    limit(edge, monthly_quota=5)
    assert edge.take(*events(3))["accepted"] == 3

    data = edge.take(*events(3), batch_id=BATCH_ID)

    assert (data["accepted"], data["dropped"]) == (2, {"quota_exceeded": 1})
    assert post(edge, *events(1)).status_code == 402
    assert len(edge.rows()) == 5


def test_only_what_was_stored_spends_the_quota(edge: Edge) -> None:
    limit(edge, monthly_quota=3)
    batch = {"events": [*events(2), BAD], "batch_id": BATCH_ID}
    for _ in range(3):
        edge.post(batch)

    assert edge.take(*events(1))["accepted"] == 1
    assert post(edge, *events(1)).status_code == 402


def test_the_limits_of_one_site_are_not_anothers(edge: Edge) -> None:
    limit(edge, rate_limit=0)

    answer = edge.post({"events": events(1)}, key=OTHER_KEY)

    assert answer.status_code == 200
