"""The frozen payloads of the wire format, posted to the real service.

Older and newer clients are among them: what they send today must be taken for ever.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.support.clickhouse import Database
from tests.e2e.support.service import Service

GOLDEN = Path(__file__).parents[2] / "packages" / "shared-schema" / "golden"
STATUS = {"malformed_body": 400, "too_large": 413}
# The service judges what the codec cannot: times against its clock, ids by meaning.
JUDGED = {"timestamp_out_of_range", "blocked_id"}


def each(folder: str) -> pytest.MarkDecorator:
    payloads = sorted(
        path
        for path in (GOLDEN / folder).iterdir()
        if not path.name.endswith(".expected.json")
    )
    assert payloads
    return pytest.mark.parametrize(
        "path", [pytest.param(path, id=path.name) for path in payloads]
    )


@each("valid")
def test_a_good_payload_is_stored(
    standing_service: Service, standing_database: Database, path: Path
) -> None:
    wanted = expected(path)

    answer = standing_service.post(path.read_bytes(), headers=headers(path))

    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    judged = [each for each in data["results"].values() if each["reason"] in JUDGED]
    # The same events come in several formats: then they are known already.
    known = data["accepted"] + data["duplicates"]
    assert known + len(judged) == wanted["accepted"]
    assert data["invalid"] == len(wanted["refused"]) + len(judged)
    for refused in wanted["refused"]:
        name = refused["event_id"] or f"#{refused['index']}"
        assert data["results"][name]["reason"] == refused["reason"]
        assert refused["names"] in data["results"][name]["detail"]
    check_rows(
        standing_database,
        {
            event["event_id"]: event
            for event in wanted.get("events", [])
            if "event_id" in event and event["event_id"] not in data["results"]
        },
    )


@each("invalid")
def test_a_bad_payload_is_refused_with_the_field_named(
    standing_service: Service, path: Path
) -> None:
    wanted = expected(path)

    answer = standing_service.post(path.read_bytes(), headers=headers(path))

    assert answer.status_code == STATUS[wanted["code"]], answer.text
    assert answer.json()["code"] == wanted["code"]
    assert named(wanted) in answer.json()["message"]


def check_rows(database: Database, events: dict[str, dict[str, Any]]) -> None:
    """Asserts that each event is stored once, under its name and for its person."""
    database.wait_for_ids(list(events))
    rows = database.query(
        "SELECT toString(event_id), name, distinct_id, groups FROM events "
        "WHERE toString(event_id) IN %(ids)s",
        {"ids": [*events, ""]},
    )
    assert sorted(rows, key=str) == sorted(
        (
            (event_id, each["event"], each["distinct_id"], each.get("groups", {}))
            for event_id, each in events.items()
        ),
        key=str,
    )


def named(wanted: dict[str, str]) -> str:
    """Returns what the message must name.

    Nobody learns the size of a body that is too large, since it is not inflated to its
    end; it is the limit that is named.
    """
    return "20971520" if wanted["names"] == "20971521" else wanted["names"]


def expected(path: Path) -> Any:
    name = path.name.split(".")[0]
    return json.loads((path.parent / f"{name}.expected.json").read_bytes())


def headers(path: Path) -> dict[str, str]:
    kind = "msgpack" if ".msgpack" in path.suffixes else "json"
    encoding = {"Content-Encoding": "gzip"} if path.suffix == ".gz" else {}
    return {"Content-Type": f"application/{kind}", **encoding}
