"""Where a write key may stand, and which one counts."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from headwater_ingest.sites.model import Site, digest_key

if TYPE_CHECKING:
    from packages.ingest.tests.http.conftest import Edge

KEY, SITE_ID = "hw_key_of_the_first_site", 7
OTHER_KEY, OTHER_SITE_ID = "hw_key_of_the_second_site", 8
EVENT = {"event": "Clicked", "distinct_id": "ada"}
BATCH = {"events": [EVENT]}


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Headwater-Key": KEY},
        {"x-headwater-key": KEY},
        {"X-Headwater-Key": f" {KEY} "},
        {"Authorization": f"Bearer {KEY}"},
        {"authorization": f"bEARER   {KEY}"},
        {"X-Headwater-Key": "", "Authorization": f"Bearer {KEY}"},
    ],
)
def test_a_key_in_a_header_is_found(edge: Edge, headers: dict[str, str]) -> None:
    answer = edge.post(BATCH, key=None, headers=headers)

    assert answer.status_code == 200, answer.text
    assert [row["site_id"] for row in edge.rows()] == [SITE_ID]


def test_the_key_header_of_the_billdogeng_clients_is_found(edge: Edge) -> None:
    event = {"event_name": "Clicked", "user_id": "ada"}

    # Their own HTTP library writes it so.
    edge.post({"events": [event]}, key=None, headers={"X-Billdog-Api-Key": KEY})

    assert [row["site_id"] for row in edge.rows()] == [SITE_ID]


def test_a_key_in_the_body_is_found(edge: Edge) -> None:
    edge.post({"api_key": OTHER_KEY, **BATCH}, key=None)

    assert [row["site_id"] for row in edge.rows()] == [OTHER_SITE_ID]


def test_a_key_in_a_message_pack_body_is_found(edge: Edge) -> None:
    body = msgspec.msgpack.encode({"api_key": KEY, **BATCH})

    edge.post(body, key=None, headers={"Content-Type": "application/msgpack"})

    assert [row["site_id"] for row in edge.rows()] == [SITE_ID]


def test_the_key_in_the_header_wins(edge: Edge) -> None:
    edge.post({"api_key": OTHER_KEY, **BATCH}, key=KEY)

    assert [row["site_id"] for row in edge.rows()] == [SITE_ID]


@pytest.mark.parametrize("place", ["header", "body"])
def test_a_key_is_utf8_wherever_it_stands(edge: Edge, place: str) -> None:
    key = "clé-d'écriture-0123456789"
    edge.sites.replace([Site(SITE_ID, "example.com", frozenset({digest_key(key)}))])
    headers: dict[str, Any] = {"X-Headwater-Key": key.encode()}
    body: dict[str, object] = {"api_key": key, **BATCH}

    if place == "header":
        answer = edge.post(BATCH, key=None, headers=headers)
    else:
        answer = edge.post(body, key=None)

    assert answer.status_code == 200


PADDING = {**EVENT, "properties": {"x": "y" * 100_000}}


@pytest.mark.parametrize("message_pack", [False, True])
def test_a_key_in_a_large_body_is_found(edge: Edge, *, message_pack: bool) -> None:
    encode = msgspec.msgpack.encode if message_pack else msgspec.json.encode
    kind = "application/msgpack" if message_pack else "application/json"
    for key, status in [(KEY, 200), ("hw_wrong", 401), ("", 401)]:
        body = encode({"events": [PADDING], "api_key": key})

        answer = edge.post(body, key=None, headers={"Content-Type": kind})

        assert answer.status_code == status

    assert len(edge.rows()) == 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"events":[' + b"[" * 1_000_000,
        b'{"x":NaN,"events":[%b1]}' % (b"[]," * 300_000),
        b"\x81\xa6events" + b"\x91" * 1_000_000,
        bytes(1_000_000),
    ],
    ids=["nested JSON", "odd JSON", "nested MessagePack", "zeros"],
)
@pytest.mark.parametrize("kind", ["application/json", "application/msgpack"])
def test_a_stranger_cannot_have_a_large_body_decoded(
    edge: Edge, body: bytes, kind: str
) -> None:
    headers = {"Content-Type": kind, "Content-Encoding": "gzip"}

    answer = edge.post(gzip.compress(body), key=None, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (401, "missing_key")
    assert "X-Headwater-Key" in answer.json()["message"]
