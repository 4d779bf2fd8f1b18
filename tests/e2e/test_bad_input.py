"""Bad requests over real HTTP: refused in words, and none of them hurts the others."""

import gzip
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import msgspec
import pytest
import zstandard
from isal import igzip
from tests.e2e.support.clickhouse import Database
from tests.e2e.support.service import KEY, Service

MIB = 1024 * 1024
GOOD = b'{"events": [{"event": "clicked", "distinct_id": "user-1"}]}'


GZIP_BOMB = igzip.compress(bytes(200 * MIB), 1)
ZSTD_BOMB = zstandard.ZstdCompressor().compress(bytes(200 * MIB))
"""200 MB of zeros in a few kilobytes."""


def fresh() -> dict[str, str]:
    """Returns an event that nobody has sent before."""
    return {"event_id": str(uuid.uuid4()), "event": "clicked", "distinct_id": "user-1"}


@dataclass(frozen=True, slots=True)
class Case:
    """A bad request, and what must be said about it."""

    status: int
    code: str
    part: str
    body: bytes = GOOD
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code} {self.headers or self.body[:40]!r}"


GZIP = {"Content-Encoding": "gzip"}
ZSTD = {"Content-Encoding": "zstd"}
CASES = [
    Case(401, "missing_key", "X-Headwater-Key", headers={"X-Headwater-Key": ""}),
    Case(401, "unknown_key", "no site", headers={"X-Headwater-Key": "hw_wrong"}),
    Case(400, "malformed_body", "JSON", b"not JSON"),
    Case(400, "malformed_body", "body", b""),
    Case(400, "malformed_body", "object", b"[]"),
    Case(400, "malformed_body", "$.events", b'{"events": 7}'),
    Case(400, "malformed_body", "$.batch_id", b'{"events": [], "batch_id": 7}'),
    Case(415, "unsupported_type", "text/csv", headers={"Content-Type": "text/csv"}),
    Case(415, "unknown_encoding", "gzip", headers={"Content-Encoding": "br"}),
    Case(400, "malformed_body", "gzip", headers=GZIP),
    Case(413, "too_large", "smaller", GZIP_BOMB, headers=GZIP),
    Case(413, "too_large", "smaller", ZSTD_BOMB, headers=ZSTD),
    Case(413, "too_large", "smaller", b" " * (20 * MIB + 1)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_bad_request_is_refused_in_words(
    standing_service: Service, case: Case
) -> None:
    before = refused(standing_service, case.code)

    answer = standing_service.post(case.body, headers=case.headers)

    assert answer.status_code == case.status, answer.text
    told = answer.json()
    assert told["success"] is False
    assert told["code"] == told["error"]["code"] == case.code
    assert case.part in told["message"]
    assert told["message"] == told["detail"] == told["error"]["message"]
    assert refused(standing_service, case.code) == before + 1
    assert accepted(standing_service.post({"events": [fresh()]})) == 1, (
        "the next one is fine"
    )


def test_a_bomb_costs_no_memory(standing_service: Service) -> None:
    standing_service.post(GZIP_BOMB, headers=GZIP)
    before = standing_service.metric("process_resident_memory_bytes")

    for _ in range(5):
        standing_service.post(GZIP_BOMB, headers=GZIP)
        standing_service.post(ZSTD_BOMB, headers=ZSTD)

    grown = standing_service.metric("process_resident_memory_bytes") - before
    assert grown < 60 * MIB, "one inflated bomb alone has 200"


def test_one_bad_event_costs_that_event(
    standing_service: Service, standing_database: Database
) -> None:
    bad, good = str(uuid.uuid4()), fresh()
    before = standing_service.metric("headwater_events_total", outcome="invalid")
    events: list[object] = [
        {"event_id": bad, "event": 7, "distinct_id": "user-1"},
        good,
        {"event": "clicked"},
        "no event at all",
        {"event": "old", "distinct_id": "u", "timestamp": "1999-01-01T00:00:00Z"},
        {"event": "$create_alias", "distinct_id": "ada", "properties": {"alias": "0"}},
    ]

    data = standing_service.post({"events": events}).json()["data"]

    assert (data["accepted"], data["invalid"]) == (1, 5)
    reasons = {name: each["reason"] for name, each in data["results"].items()}
    assert reasons == {
        bad: "malformed_event",
        "#2": "malformed_event",
        "#3": "malformed_event",
        "#4": "timestamp_out_of_range",
        "#5": "blocked_id",
    }
    assert "$.event" in data["results"][bad]["detail"]
    standing_database.wait_for_ids([good["event_id"]])
    assert bad not in standing_database.stored_ids()
    assert (
        standing_service.metric("headwater_events_total", outcome="invalid")
        == before + 5
    )


def test_a_property_that_is_no_text_costs_nothing_else(
    standing_service: Service, standing_database: Database
) -> None:
    event = fresh()
    nul = '{"a": "x\\u0000y", "b": "\\ud800", "c": 1e999, "d": "fine"}'
    body = msgspec.json.encode(
        {"events": [event | {"properties": msgspec.Raw(nul.encode())}]}
    )

    assert accepted(standing_service.post(body)) == 1

    standing_database.wait_for_ids([event["event_id"]])
    [props] = standing_database.column(
        "SELECT props FROM events WHERE event_id = %(event_id)s", event
    )
    assert props == {"a": "xy", "b": "\ufffd", "d": "fine"}


def test_the_same_request_sent_again_is_stored_once(
    standing_service: Service, standing_database: Database
) -> None:
    # Without ids: the service derives them from what was sent.
    person = str(uuid.uuid4())
    body = {"events": [{"event": "clicked", "distinct_id": person}] * 2}

    first, again = (standing_service.post(body).json()["data"] for _ in range(2))

    assert (first["accepted"], first["duplicates"]) == (2, 0)
    assert (again["accepted"], again["duplicates"]) == (0, 2)
    after = fresh()
    standing_service.post({"events": [after]})
    standing_database.wait_for_ids([after["event_id"]])
    found = standing_database.query(
        "SELECT count() FROM events WHERE distinct_id = %(person)s", {"person": person}
    )
    assert found == [(2,)]


@pytest.mark.parametrize(
    "headers,encode",
    [
        ({"Content-Encoding": "gzip"}, gzip.compress),
        ({"Content-Encoding": "zstd"}, zstandard.ZstdCompressor().compress),
        ({"Content-Encoding": "identity"}, bytes),
        (
            {"Content-Type": "application/msgpack"},
            lambda body: msgspec.msgpack.encode(msgspec.json.decode(body)),
        ),
    ],
    ids=["gzip", "zstd", "identity", "msgpack"],
)
def test_every_form_of_a_body_is_taken(
    standing_service: Service,
    standing_database: Database,
    headers: dict[str, str],
    encode: Callable[[bytes], bytes],
) -> None:
    event = fresh()
    body = encode(msgspec.json.encode({"events": [event]}))

    assert accepted(standing_service.post(body, headers=headers)) == 1

    standing_database.wait_for_ids([event["event_id"]])


@pytest.mark.parametrize(
    "headers,extra",
    [({"Authorization": f"Bearer {KEY}"}, {}), ({}, {"api_key": KEY})],
    ids=["bearer", "body"],
)
def test_the_key_is_found_wherever_it_may_be(
    standing_service: Service, headers: dict[str, str], extra: dict[str, str]
) -> None:
    answer = standing_service.post(
        {"events": [fresh()], **extra}, headers={"X-Headwater-Key": "", **headers}
    )

    assert accepted(answer) == 1


def test_unknown_paths_and_methods_are_refused(standing_service: Service) -> None:
    assert standing_service.post(GOOD, path="/nothing-here").status_code == 404
    assert standing_service.post(GOOD, path="/metrics").status_code == 405


def accepted(answer: httpx.Response) -> int:
    assert answer.status_code == 200, answer.text
    count: int = answer.json()["data"]["accepted"]
    return count


def refused(service: Service, code: str) -> float:
    return service.metric("headwater_requests_refused_total", code=code)
