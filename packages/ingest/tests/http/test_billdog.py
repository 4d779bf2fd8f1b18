"""The dialect of the BilldogEng clients on `/ingest-events`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater_ingest.http import billdog
from headwater_schema.limits import MAX_BATCH_EVENTS, MAX_EVENT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from packages.ingest.tests.http.conftest import Edge

KEY, SITE_ID = "hw_key_of_the_first_site", 7
NOW_MS = 1_735_787_045_678
EVENT = {
    "event_name": "order_completed",
    "event_timestamp": NOW_MS - 9,
    "properties": {"revenue": 49.99},
    "user_id": "user-1",
}


def post(edge: Edge, *events: object, **envelope: object) -> httpx.Response:
    """Posts as the client does, with its own names."""
    body = {"api_key": KEY, "events": list(events), **envelope}
    headers = {"X-Billdog-Api-Key": KEY, "User-Agent": "billdogeng-python"}
    return edge.post(body, key=None, headers=headers)


def take(edge: Edge, *events: object) -> dict[str, Any]:
    answer = post(edge, *events)
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def test_the_answer_is_the_envelope_that_the_client_demands(edge: Edge) -> None:
    answer = post(edge, EVENT)

    assert answer.status_code == 200
    assert answer.json()["success"] is True
    assert "quota_limited" not in answer.json()
    assert {"data", "meta"} < answer.json().keys()


def test_its_events_become_rows_like_any_other(edge: Edge) -> None:
    take(
        edge,
        {
            **EVENT,
            "properties": {
                "revenue": 49.99,
                "$groups": {"company": "acme", "floor": 3},
                "$process_person_profile": True,
                "$current_url": "https://example.com/a",
            },
        },
    )

    (row,) = edge.rows()
    assert row["name"] == "order_completed"
    assert row["distinct_id"] == "user-1"
    assert (row["timestamp"], row["received_at"]) == (NOW_MS - 9, NOW_MS)
    assert row["groups"] == {"company": "acme", "floor": "3"}
    assert row["props"] == {
        "$current_url": "https://example.com/a",
        "$process_person_profile": "true",
        "revenue": "49.99",
    }
    assert (row["hostname"], row["pathname"]) == ("example.com", "/a")
    assert (row["site_id"], row["sdk"]) == (SITE_ID, "billdogeng")


def test_every_kind_of_event_that_the_client_makes_is_taken(edge: Edge) -> None:
    identify = {"$set": {"email": "a@b.co"}, "email": "a@b.co"}
    group = {"$group_type": "company", "$group_key": "acme", "$group_set": {"n": 5}}
    exception = {
        "$exception_list": [{"type": "E", "stacktrace": {"frames": [{"lineno": 1}]}}],
        "$exception_level": "error",
    }
    alias = {"alias": "anon-abc", "distinct_id": "user-1"}

    data = take(
        edge,
        EVENT,
        {**EVENT, "event_name": "$identify", "properties": identify},
        {**EVENT, "event_name": "$groupidentify", "properties": group},
        {**EVENT, "event_name": "$create_alias", "properties": alias},
        {**EVENT, "event_name": "$exception", "properties": exception},
    )

    assert (data["accepted"], data["results"]) == (5, {})
    rows = {row["name"]: row for row in edge.rows()}
    assert msgspec.json.decode(rows["$identify"]["properties"]) == identify
    assert msgspec.json.decode(rows["$exception"]["properties"]) == exception
    assert rows["$create_alias"]["props"] == alias


def test_a_body_without_the_header_is_known_by_its_events(edge: Edge) -> None:
    answer = edge.post({"api_key": KEY, "events": [EVENT]}, key=None)

    assert answer.json()["data"]["accepted"] == 1
    assert [row["sdk"] for row in edge.rows()] == ["billdogeng"]


@pytest.mark.parametrize(
    "events",
    [
        [{"event": "E", "distinct_id": "ada", "properties": {"event_name": "x"}}],
        [{"event": "E", "distinct_id": "ada", "event_name": "x"}],
        [{"event": "E", "distinct_id": "ada"}, EVENT],
        [EVENT, {"event": "E", "distinct_id": "ada"}],
    ],
)
def test_a_native_batch_is_not_taken_for_the_dialect(
    edge: Edge, events: list[object]
) -> None:
    data = edge.take(*events)

    assert data["accepted"] == 1
    assert [(row["name"], row["sdk"]) for row in edge.rows()] == [("E", "")]


def test_a_batch_that_is_neither_is_told_what_a_native_one_has(edge: Edge) -> None:
    data = edge.take({"event_name": "x", "event": 7}, {"name": "event_name"})

    assert "`$.event`" in data["results"]["#0"]["detail"]
    assert "`event`" in data["results"]["#1"]["detail"]


@pytest.mark.parametrize(
    "change,stored",
    [
        ({"user_id": 7}, {"distinct_id": "7"}),
        ({"user_id": 10**30}, {"distinct_id": str(10**30)}),
        ({"user_id": 1.5}, {"distinct_id": "1.5"}),
        ({"user_id": "a\0b"}, {"distinct_id": "ab"}),
        ({"event_timestamp": "2025-01-02T03:04:05Z"}, {"timestamp": NOW_MS - 678}),
        ({"event_timestamp": NOW_MS - 0.5}, {"timestamp": NOW_MS - 1}),
        ({"event_timestamp": None}, {"timestamp": NOW_MS}),
        ({"properties": None}, {"props": {}}),
        ({"properties": {}}, {"props": {}}),
        ({"properties": []}, {"props": {}}),
        ({"properties": {"$groups": None}}, {"groups": {}, "props": {}}),
        (
            {"properties": {"$groups": ["acme"]}},
            {"groups": {}, "properties": '{"$groups":["acme"]}'},
        ),
        ({"properties": {"$groups": {"a": 1.5}}}, {"groups": {"a": "1.5"}}),
    ],
    ids=repr,
)
def test_odd_types_are_taken_for_what_they_mean(
    edge: Edge, change: dict[str, object], stored: dict[str, object]
) -> None:
    assert take(edge, {**EVENT, **change})["accepted"] == 1

    (row,) = edge.rows()
    assert {name: row[name] for name in stored} == stored


@pytest.mark.parametrize(
    "bad,named",
    [
        (7, "`object`"),
        ({}, "`$.event`"),
        ({**EVENT, "event_name": ["x"]}, "`$.event`"),
        ({**EVENT, "event_name": "x" * 201}, "`$.event`"),
        ({**EVENT, "user_id": None}, "`$.distinct_id`"),
        ({**EVENT, "user_id": True}, "`$.distinct_id`"),
        ({**EVENT, "user_id": {"id": 7}}, "`$.distinct_id`"),
        ({**EVENT, "event_timestamp": "soon"}, "`$.timestamp`"),
        ({**EVENT, "event_timestamp": {}}, "`$.timestamp`"),
        ({**EVENT, "properties": [1]}, "`$.properties`"),
        ({**EVENT, "properties": "x"}, "`$.properties`"),
        ({**EVENT, "properties": {"$groups": {"company": None}}}, "`$.groups"),
    ],
    ids=repr,
)
def test_one_bad_event_costs_that_event(edge: Edge, bad: object, named: str) -> None:
    data = take(edge, EVENT, bad, {**EVENT, "user_id": "user-2"})

    assert (data["accepted"], data["results"].keys()) == (2, {"#1"})
    assert data["results"]["#1"]["reason"] == "malformed_event"
    assert named in data["results"]["#1"]["detail"]


@pytest.mark.parametrize(
    "field", ["event_name", "user_id", "event_timestamp", "properties"]
)
def test_what_python_writes_and_json_forbids_is_forgiven(
    edge: Edge, field: str
) -> None:
    bad = {**EVENT, field: "?"}
    body = msgspec.json.encode({"events": [EVENT, bad]}).replace(b'"?"', b'["\\ud800"]')
    whole = body.replace(b"49.99", b'NaN, "inf": -Infinity, "half": "\\udc00\x01"', 1)

    answer = edge.post(whole, key=None, headers={"X-BillDog-API-Key": KEY})

    assert answer.json()["data"]["results"].keys() == {"#1"}
    (row,) = edge.rows()
    assert row["props"] == {"half": "\ufffd\x01"}
    assert msgspec.json.decode(row["properties"])["revenue"] is None


def test_numbers_beyond_all_bounds_do_no_harm(edge: Edge) -> None:
    body = msgspec.json.encode({"events": [EVENT]})
    for digits in (b"9" * 4300, b"-" + b"9" * 4299, b"9" * 4301, b"1e999"):
        for place in (b"49.99", b'"user-1"', b"%d" % (NOW_MS - 9)):
            answer = edge.post(
                body.replace(place, digits), headers={"X-BillDog-API-Key": KEY}
            )
            assert answer.status_code == 200, answer.text


def test_a_property_that_cannot_be_stored_costs_that_property(edge: Edge) -> None:
    deep: list[object] = []
    for _ in range(33):
        deep = [deep]

    data = take(edge, {**EVENT, "properties": {"plan": "pro", "deep": deep}}, EVENT)

    assert data["accepted"] == 2
    assert [row["props"] for row in edge.rows()] == [
        {"plan": "pro"},
        {"revenue": "49.99"},
    ]
    assert edge.counted("headwater_properties_refused_total") == 1


@pytest.mark.parametrize("size", [MAX_EVENT_BYTES, 3 * MAX_EVENT_BYTES])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: {"properties": {"text": text}},
        lambda text: {"properties": {"plan": "pro", "$groups": {"company": text}}},
        lambda text: {"properties": {"a": text, "b": text, "c": text}},
        lambda text: {"event_timestamp": text},
    ],
)
def test_an_event_that_is_too_large_is_refused_whole(
    edge: Edge, size: int, change: Callable[[str], dict[str, object]]
) -> None:
    data = take(edge, EVENT, {**EVENT, **change("x" * size)}, 7)

    assert (data["accepted"], len(edge.rows())) == (1, 1)
    assert data["results"]["#1"]["reason"] == "event_too_large"
    assert str(MAX_EVENT_BYTES) in data["results"]["#1"]["detail"]
    assert data["results"]["#2"]["reason"] == "malformed_event"


@pytest.mark.parametrize("properties", ["x" * 9, ["x" * 9]], ids=["text", "list"])
def test_large_properties_that_are_no_object_are_refused(
    edge: Edge, properties: str | list[str]
) -> None:
    data = take(edge, {**EVENT, "properties": properties * (MAX_EVENT_BYTES // 4)})

    assert (data["accepted"], data["invalid"]) == (0, 1)


@pytest.mark.parametrize(
    "body,status,named",
    [
        (b"", 400, "JSON"),
        (b"not JSON", 400, "JSON"),
        (b"[]", 400, "`object`"),
        (b"{}", 400, "`$.events`"),
        (b'{"events": {}}', 400, "`$.events`"),
        (b'{"events": %b}' % (b"[" * 100_000), 400, "JSON"),
        (b'{"events": [%b1]}' % (b"1," * MAX_BATCH_EVENTS), 413, "events"),
        (b'{"events": [[%b1]]}' % (b"1," * (billdog.MAX_COMMAS + 1)), 413, "values"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_body_that_is_no_batch_is_refused_in_words(
    edge: Edge, body: bytes, status: int, named: str
) -> None:
    answer = edge.post(body, key=None, headers={"X-BillDog-API-Key": KEY})

    assert answer.status_code == status
    assert named in answer.json()["message"]


def test_a_large_body_that_only_mentions_the_dialect_is_not_read_as_one() -> None:
    body = b'{"event_name": [%b1]}' % (b"1," * (billdog.MAX_COMMAS + 1))

    assert not billdog.is_billdog(body)


@pytest.mark.parametrize(
    "body", [b"", b'{"event_name"', b'["event_name"]', b'{"events":["event_name"]}']
)
def test_what_is_no_batch_is_not_the_dialect_either(body: bytes) -> None:
    assert not billdog.is_billdog(body)


def test_the_same_body_sent_again_is_stored_once(edge: Edge) -> None:
    first, again = take(edge, EVENT, EVENT), take(edge, EVENT, EVENT)

    assert (first["accepted"], first["duplicates"]) == (2, 0)
    assert (again["accepted"], again["duplicates"]) == (0, 2)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["$groups", "company", "x"]) | st.text(max_size=3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["event_name", "event_timestamp", "properties", "user_id", "event", "x"]
)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.dictionaries(FIELDS, JSON, max_size=5) | JSON, max_size=4),
    st.dictionaries(st.sampled_from(["api_key", "sdk", "batch_id"]), JSON, max_size=3),
)
def test_whatever_the_fields_hold_each_event_is_accounted_for(
    new_edge: type[Edge], events: list[object], envelope: dict[str, object]
) -> None:

    edge = new_edge()
    body = json.dumps({**envelope, "events": events}).encode()

    answer = edge.post(body, headers={"X-BillDog-API-Key": KEY})

    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    assert data["accepted"] + data["duplicates"] + data["invalid"] == len(events)
    assert len(edge.rows()) == data["accepted"]
