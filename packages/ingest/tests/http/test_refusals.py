"""Requests that are refused whole: which status, which words, and nothing stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from headwater_ingest.http.refusal import STATUS
from headwater_schema._openapi import openapi
from headwater_schema.codec import decode_error
from headwater_schema.limits import MAX_BATCH_BYTES, MAX_BATCH_EVENTS
from headwater_schema.outcomes import ErrorCode

if TYPE_CHECKING:
    import httpx
    from packages.ingest.tests.http.conftest import Edge

EVENT = {"event": "Clicked", "distinct_id": "ada"}
GOOD = msgspec.json.encode({"events": [EVENT]})


def check_refused(
    edge: Edge, answer: httpx.Response, status: int, code: ErrorCode
) -> str:
    """Checks all that is the same in every refusal, and returns the message."""
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/json"
    told = decode_error(answer.content)
    assert told.success is False
    assert told.error.code == code
    assert told.message == told.detail == told.error.message != ""
    assert edge.counted("headwater_requests_refused_total") == 1
    assert edge.counted("headwater_requests_refused_total", code=code) == 1
    assert edge.journal.blobs == []
    assert edge.counted("headwater_events_total") == 0
    return told.message


def test_every_error_code_has_its_status() -> None:
    assert {code: STATUS[code] for code in ErrorCode} == STATUS


def test_the_document_of_the_interface_tells_the_same_statuses() -> None:
    responses = openapi()["paths"]["/ingest-events"]["post"]["responses"]

    told = {
        code: int(status)
        for status, response in responses.items()
        if status != "200"
        for code in response["content"]["application/json"]["examples"]
    }

    assert told == STATUS


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Headwater-Key": "hw_wrong"},
        {"X-BillDog-API-Key": "hw_wrong"},
        {"Authorization": "Bearer hw_wrong"},
        {"X-Headwater-Key": "hw_wrong", "Content-Encoding": "br"},
        {"X-Headwater-Key": "x" * 100_000},
        {"X-Headwater-Key": b"\xff\x00\xfe"},
    ],
)
def test_an_unknown_key_is_401_whatever_the_body_is(
    edge: Edge, headers: dict[str, Any]
) -> None:
    answer = edge.post(b"not a batch", key=None, headers=headers)

    message = check_refused(edge, answer, 401, ErrorCode.UNKNOWN_KEY)
    assert "`headwater-ingest sites list`" in message


def test_a_key_is_not_unknown_before_all_sites_are_known(edge: Edge) -> None:
    edge.sites.replace(edge.sites.sites, are_all=False)

    answer = edge.post({"events": [EVENT]}, key="hw_of_another_node")

    check_refused(edge, answer, 503, ErrorCode.SITES_UNKNOWN)
    assert answer.headers["retry-after"] == "5"
    assert edge.post({"events": [EVENT]}).status_code == 200


def test_an_unknown_key_in_the_body_is_401(edge: Edge) -> None:
    answer = edge.post({"api_key": "hw_wrong", "events": [EVENT]}, key=None)

    check_refused(edge, answer, 401, ErrorCode.UNKNOWN_KEY)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Headwater-Key": ""},
        {"X-Headwater-Key": "  "},
        {"Authorization": "Basic aHdfa2V5Og=="},
        {"Authorization": "Bearer "},
    ],
)
def test_no_key_is_401_and_the_message_says_how_to_send_one(
    edge: Edge, headers: dict[str, str]
) -> None:
    answer = edge.post(GOOD, key=None, headers=headers)

    message = check_refused(edge, answer, 401, ErrorCode.MISSING_KEY)
    for place in ("X-Headwater-Key", "Authorization: Bearer", "api_key"):
        assert place in message


@dataclass(frozen=True)
class Malformed:
    """A body that is no batch, and the field that the answer names."""

    body: bytes
    named: str
    headers: dict[str, str] = field(default_factory=dict)


MESSAGE_PACK = {"Content-Type": "application/msgpack"}


@pytest.mark.parametrize(
    "case",
    [
        Malformed(b"", "truncated"),
        Malformed(b"not JSON", "JSON"),
        Malformed(b'{"events":[', "truncated"),
        Malformed(b"[]", "`object`"),
        Malformed(b"null", "`object`"),
        Malformed(b"{}", "`events`"),
        Malformed(b'{"events": 7}', "`$.events`"),
        Malformed(b'{"events": null}', "`$.events`"),
        Malformed(b'{"events": {}}', "`$.events`"),
        Malformed(b'{"events": [], "batch_id": 7}', "`$.batch_id`"),
        Malformed(b'{"events": [], "batch_id": "7"}', "`$.batch_id`"),
        Malformed(b'{"events": [], "sent_at": "soon"}', "`$.sent_at`"),
        Malformed(b'{"events": [], "historical": 1}', "`$.historical`"),
        Malformed(b'{"events": [], "api_key": 7}', "`$.api_key`"),
        Malformed(b'{"events": [], "sdk": "headwater"}', "`$.sdk`"),
        Malformed(b'{"events": [], "sdk": {"name": ""}}', "`$.sdk.name`"),
        Malformed(b'{"events": [], "client_losses": [1]}', "`$.client_losses`"),
        Malformed(b'{"events": [], "client_losses": {"a": -1}}', "`$.client_losses"),
        Malformed(b"", "truncated", MESSAGE_PACK),
        Malformed(b"\xc1", "MessagePack", MESSAGE_PACK),
        Malformed(b"\x80", "`events`", MESSAGE_PACK),
        Malformed(b"\x81\xa6events\x07", "`$.events`", MESSAGE_PACK),
        Malformed(GOOD, "", MESSAGE_PACK),
    ],
    ids=lambda case: repr(case.body[:40]),
)
def test_a_body_that_is_no_batch_is_400_and_names_the_field(
    edge: Edge, case: Malformed
) -> None:
    answer = edge.post(case.body, headers=case.headers)

    message = check_refused(edge, answer, 400, ErrorCode.MALFORMED_BODY)
    assert "the body is not a batch" in message
    assert case.named in message


@pytest.mark.parametrize(
    "kind",
    [
        "text/csv",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "x" * 5000,
    ],
)
def test_an_unknown_type_is_415_and_the_message_says_what_to_send(
    edge: Edge, kind: str
) -> None:
    answer = edge.post(GOOD, headers={"Content-Type": kind})

    message = check_refused(edge, answer, 415, ErrorCode.UNSUPPORTED_TYPE)
    assert "application/json" in message
    assert kind.partition(";")[0][:60] in message
    assert len(message) < 300


@pytest.mark.parametrize(
    "encoding", ["br", "deflate", "gzip, gzip", "gzip,", "x" * 5000]
)
def test_an_unknown_encoding_is_415_and_the_message_says_what_to_send(
    edge: Edge, encoding: str
) -> None:
    answer = edge.post(GOOD, headers={"Content-Encoding": encoding})

    message = check_refused(edge, answer, 415, ErrorCode.UNKNOWN_ENCODING)
    assert "identity, gzip, zstd" in message
    assert encoding[:60] in message
    assert len(message) < 300


def test_too_many_bytes_are_413(edge: Edge) -> None:
    answer = edge.post(b" " * (MAX_BATCH_BYTES + 1))

    message = check_refused(edge, answer, 413, ErrorCode.TOO_LARGE)
    assert "smaller" in message
    assert answer.headers["connection"] == "close"


def test_too_many_events_are_413(edge: Edge) -> None:
    answer = edge.post({"events": [EVENT] * (MAX_BATCH_EVENTS + 1)})

    message = check_refused(edge, answer, 413, ErrorCode.TOO_LARGE)
    assert str(MAX_BATCH_EVENTS) in message


def test_a_body_at_the_limits_is_taken(edge: Edge) -> None:
    events = [{**EVENT, "properties": {"n": n}} for n in range(MAX_BATCH_EVENTS)]
    body = msgspec.json.encode({"events": events})

    answer = edge.post(body + b" " * (MAX_BATCH_BYTES - len(body)))

    assert answer.json()["data"]["accepted"] == MAX_BATCH_EVENTS


def test_a_node_that_stops_is_503_and_wants_its_connection_back(edge: Edge) -> None:
    edge.door.refusing = True

    answer = edge.post(GOOD)

    check_refused(edge, answer, 503, ErrorCode.DRAINING)
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("path", ["/ingest-events", "/user-properties"])
def test_only_post_is_served(edge: Edge, path: str) -> None:
    edge_answers = [edge.request(method, path) for method in ("GET", "PUT", "DELETE")]

    assert [answer.status_code for answer in edge_answers] == [405] * 3


def test_only_what_waiting_can_cure_says_when_to_come_back(edge: Edge) -> None:
    answers = [
        edge.post(b"", key=None),
        edge.post(b"", key="hw_wrong"),
        edge.post(b"nothing"),
        edge.post(GOOD, headers={"Content-Encoding": "br"}),
        edge.post(b" " * (MAX_BATCH_BYTES + 1)),
    ]

    assert [answer.status_code for answer in answers] == [400, 401, 400, 415, 413]
    assert not any("retry-after" in answer.headers for answer in answers)
