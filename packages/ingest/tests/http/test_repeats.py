"""Batches and events that come again: stored once, and the answer says so."""

from __future__ import annotations

import dataclasses
import gzip
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater_ingest.sites.model import digest_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx
    from packages.ingest.tests.http.conftest import Edge

    from headwater_ingest.journal.entry import Entry, Receipt

OTHER_KEY = "hw_key_of_the_second_site"
EVENT = {"event": "Clicked", "distinct_id": "ada"}


def new_id() -> str:
    return str(uuid4())


def make_event(**fields: object) -> dict[str, object]:
    return {**EVENT, "event_id": new_id(), **fields}


def counts(answer: httpx.Response) -> tuple[int, int]:
    """Returns what was accepted and what was a duplicate."""
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    return data["accepted"], data["duplicates"]


def stored_ids(edge: Edge) -> list[str]:
    return [str(row["event_id"]) for row in edge.rows()]


def test_a_batch_that_comes_again_is_stored_once(edge: Edge) -> None:
    batch = {"batch_id": new_id(), "events": [make_event(), make_event()]}

    answers = [edge.post({**batch, "sent_at": 1_735_787_045_000 + n}) for n in range(3)]

    assert [counts(answer) for answer in answers] == [(2, 0), (0, 2), (0, 2)]
    assert len(edge.rows()) == 2
    assert edge.counted("headwater_events_total", outcome="accepted") == 2
    assert edge.counted("headwater_events_total", outcome="duplicate") == 4


def test_the_same_bytes_under_the_next_key_of_a_site_are_a_repeat(edge: Edge) -> None:
    site, *others = edge.sites.sites
    keys = site.key_digests | {digest_key("hw_the_next_key")}
    edge.sites.replace([dataclasses.replace(site, key_digests=keys), *others])
    body = {"events": [EVENT]}

    answers = [edge.post(body), edge.post(body, key="hw_the_next_key")]

    assert [counts(answer) for answer in answers] == [(1, 0), (0, 1)]
    assert len(edge.rows()) == 1


def test_a_repeat_is_told_again_what_was_wrong(edge: Edge) -> None:
    bad = make_event(timestamp=0)
    batch = {"batch_id": new_id(), "events": [make_event(), bad, {"event": 7}]}

    first, again = edge.post(batch).json()["data"], edge.post(batch).json()["data"]

    assert first["invalid"] == again["invalid"] == 2
    assert first["results"] == again["results"]
    assert again["results"].keys() == {bad["event_id"], "#2"}
    assert (again["accepted"], again["duplicates"]) == (0, 1)
    # The events of a repeat are known, whatever became of them the first time.
    assert edge.counted("headwater_events_total", outcome="duplicate") == 3
    assert edge.counted("headwater_events_total", outcome="invalid") == 2


def test_a_batch_id_with_other_events_is_judged_event_by_event(edge: Edge) -> None:
    batch_id, known, new = new_id(), make_event(), make_event()
    edge.post({"batch_id": batch_id, "events": [known]})

    answer = edge.post({"batch_id": batch_id, "events": [known, new]})

    assert counts(answer) == (1, 1)
    assert stored_ids(edge) == [known["event_id"], new["event_id"]]


def test_an_event_that_comes_in_another_batch_is_a_duplicate(edge: Edge) -> None:
    events = [make_event() for _ in range(4)]
    edge.take(*events[:3])

    data = edge.take(*events[1:])

    assert (data["accepted"], data["duplicates"]) == (1, 2)
    assert stored_ids(edge) == [event["event_id"] for event in events]


def test_an_event_twice_in_a_batch_is_stored_once(edge: Edge) -> None:
    event = make_event()

    data = edge.take(event, {**event, "event": "Twin"}, make_event(), event)

    assert (data["accepted"], data["duplicates"]) == (2, 2)
    assert [row["name"] for row in edge.rows()] == ["Clicked", "Clicked"]


def test_an_invalid_event_does_not_make_its_twin_a_duplicate(edge: Edge) -> None:
    twin = make_event()

    data = edge.take({**twin, "timestamp": 0}, {**twin, "event": 7}, twin, twin)

    assert (data["accepted"], data["duplicates"], data["invalid"]) == (1, 1, 2)
    assert data["results"].keys() == {"#0", "#1"}, "the id tells nobody which is meant"
    assert stored_ids(edge) == [twin["event_id"]]


def test_an_event_that_was_invalid_may_come_again_mended(edge: Edge) -> None:
    event = make_event(timestamp=0)
    edge.take(event)

    assert edge.take({**event, "timestamp": None})["accepted"] == 1


@pytest.mark.parametrize("ids", [True, False])
def test_copies_that_come_side_by_side_are_stored_once(
    edge: Edge, *, ids: bool
) -> None:
    good = [make_event() if ids else EVENT for _ in range(2)]
    batch = {"events": [*good, {"event": 7}], **({"batch_id": new_id()} if ids else {})}

    answers = edge.post_together([batch] * 5)

    data = [answer.json()["data"] for answer in answers]
    stored = sum(each["accepted"] for each in data)
    assert len(edge.rows()) == stored == 2
    assert all(each["results"] == data[0]["results"] for each in data)
    assert edge.counted("headwater_events_total") == 5 * 3


def test_batches_that_share_events_side_by_side_store_each_once(edge: Edge) -> None:
    events = [make_event() for _ in range(6)]
    batches = [{"events": events[n : n + 3]} for n in range(4)]

    answers = edge.post_together(batches)

    assert sum(counts(answer)[0] for answer in answers) == 6
    assert sum(counts(answer)[1] for answer in answers) == 6
    assert sorted(stored_ids(edge)) == sorted(
        str(event["event_id"]) for event in events
    )
    assert edge.counted("headwater_events_total", outcome="duplicate") == 6


def test_other_events_under_one_batch_id_side_by_side_are_all_stored(
    edge: Edge,
) -> None:
    batch_id = new_id()
    batches = [{"batch_id": batch_id, "events": [make_event()]} for _ in range(3)]

    answers = edge.post_together(batches)

    assert [counts(answer) for answer in answers] == [(1, 0)] * 3
    assert len(edge.rows()) == 3


def test_a_batch_that_left_the_window_meanwhile_is_judged_by_its_events(
    edge: Edge,
) -> None:
    batch = {"batch_id": new_id(), "events": [make_event()]}
    edge.post(batch)
    edge.journal.is_forgetful = True

    assert counts(edge.post(batch)) == (0, 1)
    assert len(edge.rows()) == 1


def test_a_client_without_ids_gets_the_same_ones_for_the_same_bytes(edge: Edge) -> None:
    batch = {"events": [EVENT, EVENT]}

    assert counts(edge.post(batch)) == (2, 0)
    assert counts(edge.post(batch)) == (0, 2)
    assert counts(edge.post({**batch, "events": [EVENT]})) == (1, 0)
    ids = stored_ids(edge)
    assert len(set(ids)) == 3
    assert all(each[14] == "8" for each in ids), "UUIDv8"


def test_the_ids_of_a_client_without_ids_do_not_depend_on_the_encoding(
    edge: Edge,
) -> None:
    body = msgspec.json.encode({"events": [EVENT]})

    edge.post(body)
    answer = edge.post(gzip.compress(body), headers={"Content-Encoding": "gzip"})

    assert counts(answer) == (0, 1)


def test_a_batch_id_names_the_events_that_have_no_id(edge: Edge) -> None:
    batch_id = new_id()

    first = edge.post({"batch_id": batch_id, "sent_at": 1, "events": [EVENT]})
    again = edge.post({"batch_id": batch_id, "sent_at": 2, "events": [EVENT]})

    assert (counts(first), counts(again)) == ((1, 0), (0, 1))


def test_ids_stand_for_something_within_their_site_only(edge: Edge) -> None:
    batch: dict[str, Any] = {
        "batch_id": new_id(),
        "events": [make_event(), make_event(event_id="7"), EVENT],
    }

    first = edge.post(batch)
    other = edge.post(batch, key=OTHER_KEY)

    assert counts(first) == counts(other) == (2, 0)
    assert [row["site_id"] for row in edge.rows()] == [7, 7, 8, 8]
    assert counts(edge.post(batch, key=OTHER_KEY)) == (0, 2)


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_however_events_are_batched_and_repeated_each_is_stored_once(
    new_edge: type[Edge], data: st.DataObject
) -> None:
    edge = new_edge()
    events = [make_event() for _ in range(6)]
    some = st.lists(st.sampled_from(events), max_size=8)
    batches: list[dict[str, Any]] = [
        {"batch_id": new_id(), "events": data.draw(some)}
        for _ in range(data.draw(st.integers(1, 4)))
    ]
    sent = data.draw(st.lists(st.sampled_from(batches), min_size=1, max_size=8))

    answers = edge.post_together(sent[:4]) + edge.post_together(sent[4:])

    distinct = {str(event["event_id"]) for batch in sent for event in batch["events"]}
    assert sorted(stored_ids(edge)) == sorted(distinct)
    assert sum(counts(answer)[0] for answer in answers) == len(distinct)
    assert sum(map(sum, map(counts, answers))) == sum(
        len(batch["events"]) for batch in sent
    )


def test_an_entry_says_through_where_its_ids_were_surely_looked_for(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, carried = edge.journal, []
    look, append = journal.seen_events, journal.append
    journal.seen_through = 5

    def look_and_commit(ids: Sequence[bytes]) -> set[bytes]:
        found = look(ids)
        journal.seen_through += 1  # somebody else's batch
        return found

    async def note(entry: Entry) -> Receipt:
        carried.append(entry.seen_through)
        return await append(entry)

    monkeypatch.setattr(journal, "seen_events", look_and_commit)
    monkeypatch.setattr(journal, "append", note)
    edge.take(make_event(), batch_id=new_id())
    edge.take(make_event(), batch_id=new_id())

    assert carried == [5, 6]
