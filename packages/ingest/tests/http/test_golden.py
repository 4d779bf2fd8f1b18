"""The golden payloads of the schema, through the endpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx
    from packages.ingest.tests.http.conftest import Edge

GOLDEN = Path(__file__).parents[3] / "shared-schema" / "golden"
PRIVATE = {"$ip", "$user_agent"}


def payloads(folder: str) -> pytest.MarkDecorator:
    paths = [
        pytest.param(path, id=path.name)
        for path in sorted((GOLDEN / folder).iterdir())
        if not path.name.endswith(".expected.json")
    ]
    return pytest.mark.parametrize("path", paths)


def expected(path: Path) -> dict[str, Any]:
    name = path.name.split(".")[0]
    found: dict[str, Any] = json.loads(
        (path.parent / f"{name}.expected.json").read_bytes()
    )
    return found


def post(edge: Edge, path: Path) -> httpx.Response:
    headers = {}
    if ".msgpack" in path.suffixes:
        headers["Content-Type"] = "application/msgpack"
    if path.suffix == ".gz":
        headers["Content-Encoding"] = "gzip"
    return edge.post(path.read_bytes(), headers=headers)


@payloads("valid")
def test_a_valid_payload_becomes_the_rows_that_it_says(edge: Edge, path: Path) -> None:
    want = expected(path)

    answer = post(edge, path)

    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    results = data["results"]
    for refused in want["refused"]:
        place = f"#{refused['index']}"
        result = results.pop(str(refused["event_id"]), None) or results.pop(place)
        assert result["reason"] == refused["reason"]
        assert refused["names"] in result["detail"]
    # What is left was decoded well and refused by the rules behind.
    taken = data["accepted"] + data["duplicates"] + len(results)
    assert taken == want["accepted"]
    assert len(edge.rows()) == data["accepted"]
    counted = edge.counted("headwater_properties_refused_total")
    assert counted == want["refused_properties"]
    check_stored(edge, want.get("events", []), results)


def check_stored(
    edge: Edge, events: list[dict[str, Any]], results: dict[str, object]
) -> None:
    """Checks that the events with ids of their own are stored whole."""
    rows = {str(row["event_id"]): row for row in edge.rows()}
    for event in events:
        row = rows.get(str(event.get("event_id")))
        if row is None or event["event_id"] in results:
            continue
        assert row["name"] == event["event"]
        assert row["distinct_id"] == event["distinct_id"]
        assert row["groups"] == event.get("groups", {})
        names = event.get("properties", {}).keys() - PRIVATE
        stored = json.loads(row["properties"] or "{}")
        assert row["props"].keys() | stored.keys() == names


@payloads("invalid")
def test_an_invalid_payload_is_refused_with_its_code(edge: Edge, path: Path) -> None:
    want = expected(path)

    answer = post(edge, path)

    assert answer.json()["code"] == want["code"]
    assert answer.status_code == {"malformed_body": 400, "too_large": 413}[want["code"]]
    # Of a body that is too large the edge has read no more than the limit.
    if "too-many-bytes" not in path.name:
        assert want["names"] in answer.json()["message"]
    assert edge.rows() == []


def test_the_golden_payloads_are_there() -> None:
    assert len(list((GOLDEN / "valid").iterdir())) > 20
    assert len(list((GOLDEN / "invalid").iterdir())) > 20
