"""`explain` about native batches, in both dialects."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

from packages.ingest.tests.explain.conftest import KEY

from headwater_ingest.journal import Journal
from headwater_ingest.journal.entry import Entry
from headwater_ingest.pipeline.window_keys import window_keys
from headwater_ingest.sites.model import derive_site_id

if TYPE_CHECKING:
    from packages.ingest.tests.explain.conftest import Explainer

ID = UUID("0190a5d0-0000-7000-8000-000000000001")
BATCH_ID = UUID("0190a5d0-0000-7000-8000-0000000000ff")


def command(*events: object, path: str = "ingest-events", **fields: Any) -> str:
    body = {"events": events, **fields}
    key = f"-H 'X-Headwater-Key: {KEY}'"
    return f"curl http://node/{path} {key} --json '{json.dumps(body)}'"


def event(**fields: Any) -> dict[str, Any]:
    return {"event": "order", "distinct_id": "user-1", **fields}


def test_each_event_of_a_batch_is_shown(explainer: Explainer) -> None:
    admin = {"$current_url": "https://shop.example/admin/x"}
    explanation = explainer.explain(
        command(
            event(properties=admin),
            event(event=7),
            event(properties={"$referrer": "https://news.example/", "$ip": "x"}),
            event(timestamp=5),
            event(event="$create_alias", properties={"alias": "null"}),
            event(event_id=str(ID)),
            event(event_id=str(ID)),
        )
    )

    fates = [
        (each["outcome"], each["steps"][-1]["step"]) for each in explanation["events"]
    ]
    assert fates == [
        ("dropped", "put_page"),
        ("invalid", "decode_event"),
        ("accepted", "put_attribution"),
        ("invalid", "check_time"),
        ("invalid", "check_identity"),
        ("accepted", "admit"),
        ("duplicate", "find_duplicate"),
    ]
    assert explanation["events"][2]["row"]["referrer"] == "news.example"
    assert explanation["events"][5]["row"]["event_id"] == str(ID)
    assert explanation["parsed"]["events"] == 7


def test_the_text_names_every_event(explainer: Explainer) -> None:
    result = explainer.run(command(event(), event(timestamp=5)))

    assert "#0 order: it is stored" in result.stdout
    assert "#1 order: it cannot be stored: timestamp_out_of_range" in result.stdout
    assert KEY not in result.stdout


def test_a_batch_that_is_cut_is_shown(explainer: Explainer) -> None:
    text = command(event(), event()).replace(KEY, "hw_fedcba9876543210")

    explanation = explainer.explain(text)

    assert [each["outcome"] for each in explanation["events"]] == [
        "accepted",
        "dropped",
    ]
    assert any("rate limit" in note for note in explanation["notes"])
    last = explanation["events"][1]["steps"][-1]
    assert (last["step"], last["reason"]) == ("admit", "throttle")


def test_a_batch_that_is_refused_is_shown(explainer: Explainer) -> None:
    result = explainer.run(command(event()).replace(KEY, "hw_nobody"))

    assert result.exit_code == 0
    assert "401 unknown_key: the write key belongs to no site" in result.stdout


def test_billdogeng_is_understood(explainer: Explainer) -> None:
    body = {"events": [{"event_name": "opened", "user_id": 7}]}
    text = (
        "POST /ingest-events HTTP/1.1\n"
        f"X-BillDog-API-Key: {KEY}\n\n{json.dumps(body)}\n"
    )

    (opened,) = explainer.explain(text)["events"]

    assert opened["row"]["distinct_id"] == "7"
    assert opened["row"]["sdk"] == "billdogeng"


def test_user_properties_are_understood(explainer: Explainer) -> None:
    operation = {"operation": "$set", "key": "plan", "value": "pro"}
    text = command(path="user-properties", distinct_id="u", operations=[operation])

    (each,) = explainer.explain(text)["events"]

    assert (each["event"], each["outcome"]) == ("#0 $set", "accepted")


def test_private_properties_are_in_no_row(explainer: Explainer) -> None:
    private = {"$ip": "198.51.100.7", "$user_agent": "Firefox/1", "plan": "pro"}

    (each,) = explainer.explain(command(event(properties=private)))["events"]

    assert "198.51.100.7" not in json.dumps(each["row"])
    assert "Firefox/1" not in json.dumps(each["row"])


async def store(explainer: Explainer) -> None:
    """Stores an event and its batch as the service does."""
    key, batch_key = window_keys(derive_site_id("shop.example"), [ID, BATCH_ID])
    journal = Journal.open(explainer.folder, max_bytes=10**8)
    try:
        await journal.append(
            Entry(
                site_id=derive_site_id("shop.example"),
                batch_id=batch_key,
                event_ids=key,
                rows=b"\x93\x91\xc4\x10" + ID.bytes + b"\x80\x80",
                row_count=1,
                answer=b'{"accepted":1,"duplicates":0,"dropped":{},"invalid":0,'
                b'"results":{}}',
                ids_digest=b"another one",
            )
        )
    finally:
        await asyncio.to_thread(journal.close)


def test_what_is_in_the_journal_is_a_duplicate(explainer: Explainer) -> None:
    asyncio.run(store(explainer))
    before = explainer.files()
    repeated = event(event_id=str(ID))

    explanation = explainer.explain(command(repeated, event()))
    same_batch = explainer.explain(command(repeated, event(), batch_id=str(BATCH_ID)))

    for found in (explanation, same_batch):
        outcomes = [each["outcome"] for each in found["events"]]
        assert outcomes == ["duplicate", "accepted"]
        assert "another `event_id`" in found["hints"]["duplicate"]
    assert explainer.files() == before


def test_a_journal_that_cannot_be_read_is_noted(explainer: Explainer) -> None:
    (explainer.folder / "journal.db").write_bytes(b"not a database" * 100)

    explanation = explainer.explain(command(event()))

    assert explanation["events"][0]["outcome"] == "accepted"
    assert any("repeated events are not found" in each for each in explanation["notes"])
