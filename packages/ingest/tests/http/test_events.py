"""Batches that are taken: the rows they become, and the events they lose by name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import msgspec
import pytest
from siphashc import siphash

from headwater_schema.limits import MAX_DISTINCT_ID_CHARS, MAX_EVENT_BYTES

if TYPE_CHECKING:
    from packages.ingest.tests.http.conftest import Edge

NOW_MS = 1_735_787_045_678
DAY_MS = 86_400_000
EVENT = {"event": "Clicked", "distinct_id": "ada"}
ID = "0194243b-0000-7000-8000-000000000001"


def deep(levels: int) -> object:
    """Returns lists in each other, so many in all."""
    value: list[object] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_every_field_of_an_event_becomes_a_column(edge: Edge) -> None:
    edge.take(
        {
            "event": "Order Completed",
            "distinct_id": "ada@example.com",
            "event_id": ID,
            "timestamp": "2025-01-02T03:04:05.600Z",
            "properties": {
                "plan": "pro",
                "amount": 12.5,
                "items": 3,
                "gift": False,
                "tags": ["a", None],
                "$current_url": "https://www.Example.com:8080/a%20b?c#d",
                "$session_id": "s-1",
                "$ip": "192.0.2.7",
                "$user_agent": "Firefox",
            },
            "groups": {"company": "acme"},
        },
        sdk={"name": "headwater-python", "version": "0.1.0"},
    )

    (row,) = edge.rows()
    assert {
        name: value for name, value in row.items() if value not in ("", 0, None)
    } == {
        "site_id": 7,
        "event_id": UUID(ID),
        "name": "Order Completed",
        "timestamp": NOW_MS - 78,
        "received_at": NOW_MS,
        "user_id": siphash(bytes(16), "ada@example.com"),
        "session_id": siphash(bytes(16), "s-1"),
        "distinct_id": "ada@example.com",
        "hostname": "example.com",
        "pathname": "/a b",
        "acquisition_channel": "Direct",
        "props": {
            "$current_url": "https://www.Example.com:8080/a%20b?c#d",
            "$session_id": "s-1",
            "amount": "12.5",
            "gift": "false",
            "items": "3",
            "plan": "pro",
        },
        "properties": row["properties"],
        "groups": {"company": "acme"},
        "interactive": True,
        "sdk": "headwater-python",
        "sdk_version": "0.1.0",
    }
    assert msgspec.json.decode(row["properties"]) == {
        "plan": "pro",
        "amount": 12.5,
        "items": 3,
        "gift": False,
        "tags": ["a", None],
        "$current_url": "https://www.Example.com:8080/a%20b?c#d",
        "$session_id": "s-1",
    }


def test_the_least_event_is_taken(edge: Edge) -> None:
    assert edge.take(EVENT) == {
        "accepted": 1,
        "duplicates": 0,
        "dropped": {},
        "invalid": 0,
        "results": {},
    }

    (row,) = edge.rows()
    assert (row["timestamp"], row["hostname"], row["session_id"]) == (NOW_MS, "", 0)
    assert (row["props"], row["properties"], row["groups"]) == ({}, "", {})


def test_an_answer_has_the_keys_that_clients_demand(edge: Edge) -> None:
    answer = edge.post({"events": [EVENT]})

    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.json().keys() == {"success", "data", "meta"}
    assert (answer.json()["success"], answer.json()["meta"]) == (True, {})


def test_an_empty_batch_is_taken(edge: Edge) -> None:
    assert edge.take()["accepted"] == 0
    assert edge.rows() == []


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON; charset=utf-8",
        "text/plain;charset=UTF-8",
        "",
    ],
)
def test_json_is_taken_under_its_usual_types(edge: Edge, kind: str) -> None:
    answer = edge.post({"events": [EVENT]}, headers={"Content-Type": kind})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "kind",
    ["application/msgpack", "application/x-msgpack", "application/vnd.msgpack; v=5"],
)
def test_message_pack_gives_the_same_rows_as_json(edge: Edge, kind: str) -> None:
    event = {
        **EVENT,
        "timestamp": NOW_MS - 9,
        "properties": {"a": "ü", "b": 1, "c": 1.5, "d": True, "e": [None, {"f": -1}]},
        "groups": {"company": "acme"},
    }

    edge.take({**event, "event_id": str(uuid4())})
    edge.post(
        msgspec.msgpack.encode({"events": [{**event, "event_id": str(uuid4())}]}),
        headers={"Content-Type": kind},
    )

    first, second = edge.rows()
    first.pop("event_id")
    second.pop("event_id")
    assert first == second


def test_message_pack_may_hold_what_json_cannot(edge: Edge) -> None:
    properties = {
        "when": datetime(2025, 1, 2, tzinfo=UTC),
        "raw": b"\x00\xff",
        "nan": float("nan"),
        "nul": "a\0b",
    }
    body = msgspec.msgpack.encode({"events": [{**EVENT, "properties": properties}]})

    edge.post(body, headers={"Content-Type": "application/msgpack"})

    (row,) = edge.rows()
    assert row["props"] == {"when": "2025-01-02T00:00:00Z", "raw": "AP8=", "nul": "ab"}
    assert msgspec.json.decode(row["properties"])["nan"] is None


def test_unknown_fields_and_losses_of_the_client_are_no_fault(edge: Edge) -> None:
    data = edge.take(
        {**EVENT, "colour": "red"},
        client_losses={"queue_full": 12},
        sdk={"name": "x", "shape": "round"},
        mood="good",
    )

    assert data["accepted"] == 1


def test_a_library_may_not_fill_the_table_with_its_version(edge: Edge) -> None:
    edge.take(EVENT, sdk={"name": "x", "version": "1" * 100_000})

    assert len(edge.rows()[0]["sdk_version"]) == 200


BAD_EVENTS: list[tuple[Any, str, str]] = [
    ({**EVENT, "event": 7}, "malformed_event", "`$.event`"),
    ({**EVENT, "event": ""}, "malformed_event", "`$.event`"),
    ({**EVENT, "event": "x" * 201}, "malformed_event", "`$.event`"),
    ({**EVENT, "event": "\0"}, "malformed_event", "`$.event`"),
    ({"distinct_id": "ada"}, "malformed_event", "`event`"),
    ({"event": "Clicked"}, "malformed_event", "`distinct_id`"),
    ({**EVENT, "distinct_id": None}, "malformed_event", "`$.distinct_id`"),
    ({**EVENT, "distinct_id": ""}, "malformed_event", "`$.distinct_id`"),
    (
        {**EVENT, "distinct_id": "x" * (MAX_DISTINCT_ID_CHARS + 1)},
        "malformed_event",
        "`$.distinct_id`",
    ),
    ({**EVENT, "timestamp": "yesterday"}, "malformed_event", "`$.timestamp`"),
    ({**EVENT, "timestamp": True}, "malformed_event", "`$.timestamp`"),
    ({**EVENT, "properties": []}, "malformed_event", "`$.properties`"),
    ({**EVENT, "properties": None}, "malformed_event", "`$.properties`"),
    ({**EVENT, "groups": ["acme"]}, "malformed_event", "`$.groups`"),
    ({**EVENT, "groups": {"company": 7}}, "malformed_event", "`$.groups"),
    ({**EVENT, "properties": {"x": "y" * MAX_EVENT_BYTES}}, "event_too_large", "bytes"),
    ({**EVENT, "timestamp": "1999-12-31T23:59:59Z"}, "timestamp_out_of_range", "1999"),
    ({**EVENT, "timestamp": 0}, "timestamp_out_of_range", "`$.timestamp`"),
    ({**EVENT, "timestamp": -(10**300)}, "timestamp_out_of_range", "`$.timestamp`"),
    ({**EVENT, "event": "$create_alias"}, "malformed_event", "`$.properties.alias`"),
    (
        {**EVENT, "event": "$create_alias", "properties": {"alias": "null"}},
        "blocked_id",
        "`null`",
    ),
    (
        {**EVENT, "event": "$groupidentify"},
        "malformed_event",
        "`$.properties.$group_type`",
    ),
]


@pytest.mark.parametrize(
    "bad,reason,named", BAD_EVENTS, ids=lambda value: repr(value)[:40]
)
def test_one_bad_event_is_reported_by_its_id_and_the_others_are_stored(
    edge: Edge, bad: dict[str, object], reason: str, named: str
) -> None:
    good = [str(uuid4()), str(uuid4())]
    events = [
        {**EVENT, "event_id": good[0]},
        {**bad, "event_id": ID},
        {**EVENT, "event_id": good[1]},
    ]

    data = edge.take(*events)

    assert (data["accepted"], data["invalid"]) == (2, 1)
    result = data["results"].pop(ID)
    assert data["results"] == {}
    assert (result["outcome"], result["reason"]) == ("invalid", reason)
    assert named in result["detail"]
    assert len(result["detail"]) < 200
    assert [str(row["event_id"]) for row in edge.rows()] == good
    assert edge.counted("headwater_events_total", outcome="accepted") == 2
    assert edge.counted("headwater_events_total", reason=reason) == 1
    assert edge.counted("headwater_events_total") == 3


@pytest.mark.parametrize(
    "bad", [7, None, "Clicked", [], {}, {**EVENT, "event_id": "x"}]
)
def test_a_bad_event_without_readable_id_is_reported_by_its_place(
    edge: Edge, bad: object
) -> None:
    data = edge.take(EVENT, bad, EVENT)

    assert (data["accepted"], data["results"].keys()) == (2, {"#1"})


def test_many_bad_events_are_counted_by_reason(edge: Edge) -> None:
    data = edge.take(*[7] * 30, *[{**EVENT, "timestamp": 0}] * 20, EVENT)

    assert (data["accepted"], data["invalid"], len(data["results"])) == (1, 50, 50)
    assert edge.counted("headwater_events_total", reason="malformed_event") == 30
    assert edge.counted("headwater_events_total", reason="timestamp_out_of_range") == 20


@pytest.mark.parametrize("message_pack", [False, True])
def test_a_property_that_cannot_be_stored_costs_that_property(
    edge: Edge, *, message_pack: bool
) -> None:
    properties = {"plan": "pro", "deep": deep(34), "list": deep(32)}
    batch = {"events": [{**EVENT, "properties": properties}, EVENT]}
    kind = "application/msgpack" if message_pack else "application/json"
    encode = msgspec.msgpack.encode if message_pack else msgspec.json.encode

    answer = edge.post(encode(batch), headers={"Content-Type": kind})

    assert answer.json()["data"]["accepted"] == 2
    stored = edge.rows()[0]
    assert stored["props"] == {"plan": "pro"}
    assert msgspec.json.decode(stored["properties"]) == {
        "plan": "pro",
        "list": deep(32),
    }
    assert edge.counted("headwater_properties_refused_total") == 1


def test_properties_of_a_refused_request_are_not_counted(edge: Edge) -> None:
    batch = {"events": [{**EVENT, "properties": {"deep": deep(34)}}]}

    edge.post(batch)
    edge.post(batch)
    edge.post(batch, key="hw_wrong")

    assert edge.counted("headwater_properties_refused_total") == 1


@pytest.mark.parametrize(
    "text,stored",
    [
        (r"a\u0000b", "ab"),
        (r"\ud83d", "\ufffd"),
        (r"\ud83d\ude00", "😀"),
        ("\\ud83d\x01", "\ufffd\x01"),
    ],
)
def test_texts_that_no_table_can_hold_are_mended(
    edge: Edge, text: str, stored: str
) -> None:
    edge.post(
        b'{"events":[{"event":"E","distinct_id":"ada","properties":{"t":"%b"}}]}'
        % text.encode()
    )

    assert edge.rows()[0]["props"] == {"t": stored}


def test_numbers_of_every_size_are_stored(edge: Edge) -> None:
    big = 10**4299
    edge.post(
        b'{"events":[{"event":"E","distinct_id":"ada","properties":'
        b'{"big":%d,"unsigned":18446744073709551615,"huge":1e999,"nan":NaN,"list":[%d]}'
        b"}]}" % (big, 2**70)
    )

    (row,) = edge.rows()
    assert row["props"] == {"big": str(big), "unsigned": str(2**64 - 1)}
    assert str(2**70) in row["properties"]
    assert msgspec.json.decode(row["properties"].replace(str(big), "1")) == {
        "big": 1,
        "unsigned": 2**64 - 1,
        "huge": None,
        "nan": None,
        "list": [2**70],
    }


def iso(ms: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).isoformat()


@pytest.mark.parametrize(
    "timestamp,envelope,stored",
    [
        # Believed: no time of sending, or a clock that is right to 300 s.
        (NOW_MS - 7 * DAY_MS, {}, NOW_MS - 7 * DAY_MS),
        (NOW_MS - 9, {"sent_at": NOW_MS - 300_000}, NOW_MS - 9),
        (NOW_MS - 9, {"sent_at": NOW_MS + 300_000}, NOW_MS - 9),
        # A clock that is wrong: the distance to the time of sending counts.
        (NOW_MS - 400_000, {"sent_at": NOW_MS - 300_001}, NOW_MS - 99_999),
        (NOW_MS + DAY_MS - 5, {"sent_at": NOW_MS + DAY_MS}, NOW_MS - 5),
        (0, {"sent_at": 1000}, NOW_MS - 1000),
        (iso(5000), {"sent_at": iso(6000)}, NOW_MS - 1000),
        # History is believed, whatever the clock says.
        (NOW_MS - 9, {"sent_at": 0, "historical": True}, NOW_MS - 9),
        # The future is now, beyond 300 s.
        (NOW_MS + 300_000, {}, NOW_MS + 300_000),
        (NOW_MS + 300_001, {}, NOW_MS),
        (10**300, {}, NOW_MS),
        # No time is the time of arrival.
        (None, {}, NOW_MS),
        (None, {"sent_at": NOW_MS - DAY_MS}, NOW_MS),
        # Forms.
        (iso(NOW_MS - 9), {}, NOW_MS - 9),
        ("2025-01-02T04:04:05.678999+01:00", {}, NOW_MS),
        ("2025-01-02T03:04:05.678", {}, NOW_MS),
        (float(NOW_MS) - 0.5, {}, NOW_MS - 1),
        ("2000-01-01T00:00:00Z", {}, 946_684_800_000),
    ],
)
def test_the_time_of_an_event_is_what_the_rules_say(
    edge: Edge, timestamp: object, envelope: dict[str, object], stored: int
) -> None:
    edge.take({**EVENT, "timestamp": timestamp}, **envelope)

    (row,) = edge.rows()
    assert (row["timestamp"], row["received_at"]) == (stored, NOW_MS)


def test_events_that_lay_in_the_future_are_counted(edge: Edge) -> None:
    times = [NOW_MS + DAY_MS, 10**300, NOW_MS, NOW_MS + 300_000, None, 0]
    batch = [{**EVENT, "timestamp": time} for time in times]

    edge.take(*batch)
    edge.take(*batch)

    assert edge.counted("headwater_event_times_future_total") == 2


@pytest.mark.parametrize(
    "sent_at", [-(10**300), 10**300, 1e300, "0001-01-01T00:00:00Z"]
)
def test_an_absurd_time_of_sending_does_no_harm(edge: Edge, sent_at: object) -> None:
    data = edge.take({**EVENT, "timestamp": NOW_MS}, sent_at=sent_at)

    assert data["accepted"] + data["invalid"] == 1


MESSAGE_PACK = {"Content-Type": "application/msgpack"}
NO_NUMBERS = [float("nan"), float("inf"), float("-inf")]


@pytest.mark.parametrize("number", NO_NUMBERS)
def test_a_time_of_sending_that_is_no_number_is_none(edge: Edge, number: float) -> None:
    batch = {"sent_at": number, "events": [{**EVENT, "timestamp": NOW_MS - 9}]}

    edge.post(msgspec.msgpack.encode(batch), headers=MESSAGE_PACK)

    assert [row["timestamp"] for row in edge.rows()] == [NOW_MS - 9]


@pytest.mark.parametrize("number", NO_NUMBERS)
def test_a_time_that_is_no_number_is_out_of_range(edge: Edge, number: float) -> None:
    batch = {"events": [{**EVENT, "timestamp": number}]}

    answer = edge.post(msgspec.msgpack.encode(batch), headers=MESSAGE_PACK)

    results = answer.json()["data"]["results"]
    assert results["#0"]["reason"] == "timestamp_out_of_range"
