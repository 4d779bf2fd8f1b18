from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from siphashc import siphash

from headwater_ingest.pipeline.end_user import Facts
from headwater_ingest.pipeline.native import (
    Admit,
    BuiltBatch,
    Describe,
    NativeBatch,
    admit_all,
    build_batch,
)
from headwater_ingest.pipeline.window_keys import window_keys
from headwater_ingest.rows import encode_rows, merge_columns
from headwater_ingest.sites.gatekeeper import Cut
from headwater_schema.codec import decode_batch, encode_json
from headwater_schema.events import Event
from headwater_schema.outcomes import Reason

NOW_MS = 1_735_787_045_678
BATCH_ID = UUID(int=99)
TOLD = {"$ip": "192.0.2.1"}
EVENT = {"event": "Clicked", "distinct_id": "ada"}


def build(
    *events: object, seen: Sequence[UUID] = (), site_id: int = 7, **envelope: object
) -> BuiltBatch:
    decoded = decode_batch(encode_json({"events": events, **envelope}))
    known = set(window_keys(site_id, seen))
    batch = NativeBatch(site_id, BATCH_ID, decoded, NOW_MS)
    return build_batch(batch, seen=lambda keys: [key for key in keys if key in known])


def build_with(
    describe: Describe,
    *events: object,
    seen: Sequence[UUID] = (),
    admit: Admit = admit_all,
) -> BuiltBatch:
    decoded = decode_batch(encode_json({"events": events}))
    known = set(window_keys(7, seen))
    return build_batch(
        NativeBatch(7, BATCH_ID, decoded, NOW_MS),
        seen=lambda keys: [key for key in keys if key in known],
        admit=admit,
        describe=describe,
    )


def column(built: BuiltBatch, name: str) -> list[Any]:
    rows = built.rows
    if name in rows.varying:
        assert name not in rows.constants
        return rows.varying[name]
    return [rows.constants.get(name)] * len(rows.event_id)


def test_what_is_the_same_in_all_rows_stands_once() -> None:
    built = build(
        {**EVENT, "properties": {"a": 1}, "timestamp": NOW_MS},
        {**EVENT, "properties": {"a": 1}, "timestamp": NOW_MS - 1},
        sdk={"name": "x", "version": "1"},
    )

    assert built.rows.constants == {
        "site_id": 7,
        "received_at": NOW_MS,
        "sdk": "x",
        "sdk_version": "1",
        "name": "Clicked",
        "user_id": siphash(bytes(16), "ada"),
        "distinct_id": "ada",
        "props": {"a": "1"},
        "properties": "",
        "groups": {},
    }
    assert built.rows.varying == {"timestamp": [NOW_MS, NOW_MS - 1]}


def test_a_user_is_numbered_as_clickhouse_numbers_texts() -> None:
    # SELECT sipHash64('example.com'), ClickHouse 26.9
    built = build({**EVENT, "distinct_id": "example.com"})

    assert column(built, "user_id") == [6174764473870098345]


def test_pages_and_sessions_cost_nothing_where_there_are_none() -> None:
    built = build(EVENT, {**EVENT, "event": "Other"})

    for name in ("hostname", "pathname", "session_id", "sdk"):
        assert name not in built.rows.constants
        assert name not in built.rows.varying


def test_no_end_user_is_looked_for_where_no_event_tells_of_one() -> None:
    def describe(event: Event) -> Facts:
        raise AssertionError(event)

    built = build({**EVENT, "properties": {"a": 1, "$session_id": "s"}}, EVENT)

    assert build_with(describe, EVENT).result == build(EVENT).result
    assert "hostname" not in built.rows.constants


def test_facts_of_end_users_become_columns() -> None:
    facts: dict[str, Facts | Reason] = {
        "a": {"hostname": "a.example", "city_geoname_id": 5},
        "b": {"browser": "Firefox"},
        "c": {},
    }

    built = build_with(
        lambda event: facts[event.distinct_id],
        *({**EVENT, "distinct_id": each, "properties": TOLD} for each in facts),
    )

    assert column(built, "hostname") == ["a.example", "", ""]
    assert column(built, "city_geoname_id") == [5, 0, 0]
    assert column(built, "browser") == ["", "Firefox", ""]


def test_an_event_is_dropped_for_what_it_tells_of_its_end_user() -> None:
    ids = [str(UUID(int=number)) for number in range(1, 5)]
    answers: dict[str, Facts | Reason] = {
        "a": {"hostname": "a.example"},
        "b": Reason.BOT,
        "c": Reason.DC_IP,
        "d": {"hostname": "d.example"},
    }

    built = build_with(
        lambda event: answers[event.distinct_id],
        *(
            {**EVENT, "distinct_id": name, "event_id": each, "properties": TOLD}
            for name, each in zip(answers, ids, strict=True)
        ),
    )

    assert column(built, "distinct_id") == ["a", "d"]
    assert column(built, "hostname") == ["a.example", "d.example"]
    kept = [UUID(bytes=each) for each in built.rows.event_id]
    assert built.keys == window_keys(7, kept)
    result = built.result
    assert (result.accepted, result.invalid) == (2, 0)
    assert result.dropped == {"bot": 1, "dc_ip": 1}
    assert {each: result.results[each].reason for each in ids[1:3]} == {
        ids[1]: "bot",
        ids[2]: "dc_ip",
    }
    assert result.results[ids[1]].outcome == "dropped"


def test_only_events_that_are_let_in_are_looked_at() -> None:
    seen = []

    def describe(event: Event) -> Facts:
        seen.append(event.distinct_id)
        return {}

    known = UUID(int=5)
    build_with(
        describe,
        {**EVENT, "distinct_id": "known", "event_id": str(known), "properties": TOLD},
        {**EVENT, "distinct_id": "late", "timestamp": 0, "properties": TOLD},
        {**EVENT, "distinct_id": "let in", "properties": TOLD},
        {**EVENT, "distinct_id": "cut", "properties": TOLD},
        seen=[known],
        admit=lambda count: Cut(count - 1, Reason.THROTTLE),
    )

    assert seen == ["let in"]


@pytest.mark.parametrize("session", [None, "", 7, ["s"], {}, True])
def test_a_session_that_is_no_text_is_none(session: object) -> None:
    built = build(
        {**EVENT, "properties": {"$session_id": session}},
        {**EVENT, "properties": {"$session_id": "s"}},
        EVENT,
    )

    assert column(built, "session_id") == [0, siphash(bytes(16), "s"), 0]


def test_the_keys_are_those_of_the_rows() -> None:
    ids = [UUID(int=number) for number in range(1, 6)]
    events: list[dict[str, object]] = [
        {**EVENT, "event_id": str(each)} for each in (*ids, ids[0])
    ]
    events[2]["timestamp"] = 0

    built = build(*events, seen=[ids[1]])

    kept = [ids[0], ids[3], ids[4]]
    assert built.rows.event_id == [each.bytes for each in kept]
    assert built.keys == window_keys(7, kept)
    assert (built.result.accepted, built.result.duplicates) == (3, 2)
    assert built.result.results.keys() == {str(ids[2])}


def test_an_event_without_id_gets_one_from_batch_and_place() -> None:
    first, other = build(EVENT, 7, EVENT), build(EVENT, EVENT, EVENT)

    assert first.rows.event_id == [other.rows.event_id[0], other.rows.event_id[2]]
    assert len(set(other.rows.event_id)) == 3


def test_a_batch_has_the_same_digest_whatever_becomes_of_its_events() -> None:
    ids = [UUID(int=number) for number in range(1, 4)]
    events = [{**EVENT, "event_id": str(each)} for each in ids]
    events.append({"event_id": str(UUID(int=9))})

    first = build(*events)

    assert build(*events, seen=ids).ids_digest == first.ids_digest
    assert build(*events, sent_at=1).ids_digest == first.ids_digest
    assert build(*events[1:]).ids_digest != first.ids_digest
    assert build(*events, EVENT).ids_digest != first.ids_digest
    assert build(*reversed(events)).ids_digest != first.ids_digest
    assert build(*events[:3], {}).ids_digest != first.ids_digest


def test_nothing_is_left_of_a_batch_that_is_known() -> None:
    event_id = UUID(int=1)

    built = build({**EVENT, "event_id": str(event_id)}, seen=[event_id])

    assert (built.rows.event_id, built.keys) == ([], [])
    assert merge_columns([built.rows])[0] == []


SECRET = "198.51.100.77 Mozilla/5.0"
NAMES = st.sampled_from(["$ip", "$user_agent", "$set", "plan", "$groups", "a"])
VALUES = st.recursive(
    st.none() | st.integers() | st.text("ab", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4)
    ),
    max_leaves=12,
)


def put_secret(value: Any) -> Any:
    """Makes every private property, at any depth, hold the secret."""
    if isinstance(value, list):
        return [put_secret(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: [SECRET, {"x": SECRET}]
        if name[1:] in ("ip", "user_agent")
        else put_secret(item)
        for name, item in value.items()
    }


@settings(deadline=None)
@given(
    drawn=st.lists(
        st.fixed_dictionaries(
            {"properties": st.dictionaries(NAMES, VALUES, max_size=5)},
            optional={"groups": st.dictionaries(NAMES, st.just(SECRET), max_size=3)},
        ),
        min_size=1,
        max_size=3,
    ),
    scalar=st.booleans(),
)
def test_neither_address_nor_agent_reaches_the_rows_at_any_depth(
    drawn: list[dict[str, Any]], *, scalar: bool
) -> None:
    events = []
    for each in drawn:
        properties = put_secret(each["properties"])
        if scalar:
            properties |= {"$ip": SECRET, "$user_agent": SECRET}
        groups = {
            name: SECRET if name in ("$ip", "$user_agent") else "acme"
            for name in each.get("groups", {})
        }
        events.append({**EVENT, "properties": properties, "groups": groups})

    encoded = encode_rows(build(*events).rows)

    assert build(*events).result.accepted == len(events)
    assert SECRET.encode() not in encoded
    assert b"$ip" not in encoded
    assert b"$user_agent" not in encoded
