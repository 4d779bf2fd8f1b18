"""Where a write key may stand, and which one counts."""

from __future__ import annotations

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
