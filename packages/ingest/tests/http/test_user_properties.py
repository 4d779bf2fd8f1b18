"""`/user-properties` of the BilldogEng clients: operations become events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from packages.ingest.tests.http.conftest import Edge

KEY, SITE_ID = "hw_key_of_the_first_site", 7
NOW_MS = 1_735_787_045_678


def operation(kind: str, key: str, *value: object) -> dict[str, object]:
    return {
        "operation": kind,
        "key": key,
        **({"value": value[0]} if value else {}),
    }


def post(edge: Edge, operations: object, **fields: object) -> httpx.Response:
    body = {"api_key": KEY, "distinct_id": "user-1", "operations": operations, **fields}
    return edge.post(body, "/user-properties", key=None)


def stored(edge: Edge) -> list[dict[str, Any]]:
    """Returns the properties of each event, in the order of their times."""
    rows = sorted(edge.rows(), key=lambda row: row["timestamp"])
    return [msgspec.json.decode(row["properties"]) for row in rows]


def test_operations_become_one_event_where_their_order_does_not_matter(
    edge: Edge,
) -> None:
    answer = post(
        edge,
        [
            operation("$set", "plan", "pro"),
            operation("$set", "seats", 5),
            operation("$set_once", "first_seen", "2025-01-02"),
            operation("$add", "visits", 1),
            operation("$append", "tags", {"a": [1]}),
            operation("$unset", "trial"),
            operation("$unset", "coupon"),
        ],
    )

    assert answer.status_code == 200
    assert answer.json()["data"]["accepted"] == 1
    (row,) = edge.rows()
    assert (row["name"], row["distinct_id"]) == ("$set", "user-1")
    assert (row["site_id"], row["sdk"]) == (SITE_ID, "billdogeng")
    assert (row["timestamp"], row["received_at"]) == (NOW_MS, NOW_MS)
    assert stored(edge) == [
        {
            "$set": {"plan": "pro", "seats": 5},
            "$set_once": {"first_seen": "2025-01-02"},
            "$add": {"visits": 1},
            "$append": {"tags": {"a": [1]}},
            "$unset": ["trial", "coupon"],
        }
    ]


def test_operations_on_one_property_become_events_in_their_order(edge: Edge) -> None:
    post(
        edge,
        [
            operation("$set", "n", 1),
            operation("$set", "m", 1),
            operation("$add", "n", 2),
            operation("$unset", "n"),
            operation("$set", "m", 2),
        ],
    )

    assert stored(edge) == [
        {"$set": {"n": 1, "m": 1}},
        {"$add": {"n": 2}},
        {"$unset": ["n"], "$set": {"m": 2}},
    ]
    times = sorted(row["timestamp"] for row in edge.rows())
    assert times == [NOW_MS, NOW_MS + 1, NOW_MS + 2]


@settings(deadline=None, max_examples=50)
@given(
    operations=st.lists(
        st.builds(
            operation,
            st.sampled_from(["$set", "$unset"]),
            st.sampled_from("abc"),
            st.integers(0, 9),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_events_in_their_order_do_what_the_operations_did(
    new_edge: type[Edge], operations: list[dict[str, Any]]
) -> None:
    edge = new_edge()
    person: dict[str, int] = {}
    for each in operations:
        if each["operation"] == "$set":
            person[each["key"]] = each["value"]
        else:
            person.pop(each["key"], None)

    post(edge, operations)

    replayed: dict[str, int] = {}
    for event in stored(edge):
        assert not event.get("$set", {}).keys() & set(event.get("$unset", []))
        replayed |= event.get("$set", {})
        replayed = {
            k: v for k, v in replayed.items() if k not in event.get("$unset", [])
        }
    assert replayed == person


def test_every_request_counts_since_a_second_add_looks_like_the_first(
    edge: Edge,
) -> None:
    add = [operation("$add", "visits", 1)]

    answers = [post(edge, add) for _ in range(3)]

    assert [answer.json()["data"]["accepted"] for answer in answers] == [1, 1, 1]


def test_an_address_is_not_stored_as_a_property_of_a_person(edge: Edge) -> None:
    post(edge, [operation("$set", "$ip", "192.0.2.7"), operation("$set", "a", 1)])

    assert stored(edge) == [{"$set": {"a": 1}}]


def test_a_number_is_taken_for_an_id(edge: Edge) -> None:
    post(edge, [operation("$set", "a", 1)], distinct_id=42)

    assert [row["distinct_id"] for row in edge.rows()] == ["42"]


def test_a_value_that_cannot_be_stored_costs_its_operation(edge: Edge) -> None:
    deep: list[object] = []
    for _ in range(32):
        deep = [deep]

    answer = post(edge, [operation("$set", "deep", deep), operation("$set", "a", 1)])

    assert answer.json()["data"]["accepted"] == 1
    assert stored(edge) == [{"$set": {"a": 1}}]
    assert edge.counted("headwater_properties_refused_total") == 1


def test_a_request_of_which_nothing_can_be_stored_is_taken(edge: Edge) -> None:
    deep: list[object] = []
    for _ in range(32):
        deep = [deep]

    answer = post(edge, [operation("$append", "deep", deep)])

    assert (answer.status_code, answer.json()["data"]["accepted"]) == (200, 0)
    assert edge.counted("headwater_properties_refused_total") == 1


GOOD = operation("$set", "a", 1)


@pytest.mark.parametrize(
    "fields,named",
    [
        ({"operations": None}, "`$.operations`"),
        ({"operations": []}, "`$.operations`"),
        ({"operations": {"a": 1}}, "`$.operations`"),
        ({"operations": [GOOD, 7]}, "`$.operations[1]`"),
        ({"operations": [{"key": "a"}]}, "`$.operations[0].operation`"),
        ({"operations": [operation("$sum", "a", 1)]}, "`$.operations[0].operation`"),
        ({"operations": [{"operation": ["$set"], "key": "a"}]}, "operation`"),
        ({"operations": [{"operation": {}, "key": "a"}]}, "operation`"),
        ({"operations": [{"operation": "$set", "value": 1}]}, "`$.operations[0].key`"),
        ({"operations": [operation("$set", "", 1)]}, "`$.operations[0].key`"),
        ({"operations": [{"operation": "$set", "key": []}]}, "`$.operations[0].key`"),
        ({"operations": [GOOD], "distinct_id": None}, "`$.distinct_id`"),
        ({"operations": [GOOD], "distinct_id": ""}, "`$.distinct_id`"),
        ({"operations": [GOOD], "distinct_id": True}, "`$.distinct_id`"),
        ({"operations": [GOOD], "distinct_id": ["ada"]}, "`$.distinct_id`"),
    ],
    ids=repr,
)
def test_a_request_that_lacks_a_field_is_400_and_names_it(
    edge: Edge, fields: dict[str, object], named: str
) -> None:
    answer = post(edge, fields.pop("operations"), **fields)

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")
    assert named in answer.json()["message"]
    assert edge.rows() == []


def test_a_person_whose_id_is_too_long_is_reported(edge: Edge) -> None:
    answer = post(edge, [GOOD], distinct_id="x" * 513)

    assert answer.json()["data"]["results"]["#0"]["reason"] == "malformed_event"


def test_too_many_events_are_413(edge: Edge) -> None:
    answer = post(edge, [operation("$add", "a", 1)] * 10_001)

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_message_pack_is_not_spoken_here(edge: Edge) -> None:
    answer = edge.post(
        b"\x80", "/user-properties", headers={"Content-Type": "application/msgpack"}
    )

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_type")


@pytest.mark.parametrize("key,code", [(None, "missing_key"), ("hw_x", "unknown_key")])
def test_it_needs_a_key_like_any_other_path(
    edge: Edge, key: str | None, code: str
) -> None:
    body = {"distinct_id": "user-1", "operations": [GOOD]}

    answer = edge.post(body, "/user-properties", key=key)

    assert (answer.status_code, answer.json()["code"]) == (401, code)
