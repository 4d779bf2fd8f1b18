"""The unmodified `billdogeng` client from PyPI, against the service."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from billdogeng import BilldogEng, BilldogEngError
from tests.e2e.support.clickhouse import Database
from tests.e2e.support.service import KEY, Service

WHEN = datetime(2026, 3, 1, 12, 30, 45, 678_000, UTC)


@pytest.fixture
def billdog(standing_service: Service) -> Iterator[BilldogEng]:
    client = BilldogEng(KEY, host=standing_service.url, flush_interval=3_600_000)
    yield client
    client.shutdown()


def stored(database: Database, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the one row with a name, and its properties with their types."""
    [row] = database.rows(f"name = '{name}'")
    properties = row["properties"]
    return row, json.loads(properties) if properties else dict(row["props"])


def test_a_captured_event_is_a_row(
    billdog: BilldogEng, emptied_database: Database
) -> None:
    billdog.capture(
        "user-1",
        "order_completed",
        {"revenue": 49.99, "items": 3, "coupon": None},
        {"company": "acme"},
        timestamp=WHEN,
    )
    billdog.flush()
    assert billdog.queue_length == 0
    emptied_database.wait_for_rows(1)

    row, properties = stored(emptied_database, "order_completed")
    assert properties == {"revenue": 49.99, "items": 3, "coupon": None}
    assert row["props"] == {"items": "3", "revenue": "49.99"}
    assert row["distinct_id"] == "user-1"
    assert row["groups"] == {"company": "acme"}
    assert row["timestamp"] == WHEN
    assert row["sdk"] == "billdogeng"
    assert emptied_database.query(
        "SELECT user_id = sipHash64('user-1') FROM events"
    ) == [(1,)]


def test_identify_states_and_set_once_goes_to_the_properties_of_the_person(
    billdog: BilldogEng, emptied_database: Database
) -> None:
    billdog.identify("ada", {"plan": "pro"}, set_once={"first_seen": "2026-01-01"})
    billdog.flush()
    emptied_database.wait_for_rows(2)

    row, properties = stored(emptied_database, "$identify")
    assert row["distinct_id"] == "ada"
    assert properties == {"$set": {"plan": "pro"}, "plan": "pro"}
    row, properties = stored(emptied_database, "$set")
    assert row["distinct_id"] == "ada"
    assert properties == {"$set_once": {"first_seen": "2026-01-01"}}


def test_every_operation_on_a_person_arrives_in_order(
    billdog: BilldogEng, emptied_database: Database
) -> None:
    billdog.set_person_properties(
        "ada",
        set={"plan": "pro"},
        set_once={"first_seen": "2026-01-01"},
        add={"logins": 1},
        append={"tags": "vip"},
        unset=["plan"],
    )
    emptied_database.wait_for_rows(2)

    first, second = (json.loads(row["properties"]) for row in emptied_database.rows())
    assert first == {
        "$set": {"plan": "pro"},
        "$set_once": {"first_seen": "2026-01-01"},
        "$add": {"logins": 1},
        "$append": {"tags": "vip"},
    }
    assert second == {"$unset": ["plan"]}


def test_a_group_is_stated(billdog: BilldogEng, emptied_database: Database) -> None:
    billdog.group_identify("company", "acme", {"seats": 50})
    billdog.flush()
    emptied_database.wait_for_rows(1)

    row, properties = stored(emptied_database, "$groupidentify")
    assert row["distinct_id"] == "acme"
    assert properties == {
        "$group_type": "company",
        "$group_key": "acme",
        "$group_set": {"seats": 50},
    }


def test_an_alias_is_stated(billdog: BilldogEng, emptied_database: Database) -> None:
    billdog.alias("ada", "anonymous-7")
    billdog.flush()
    emptied_database.wait_for_rows(1)

    row, properties = stored(emptied_database, "$create_alias")
    assert row["distinct_id"] == "ada"
    assert properties["alias"] == "anonymous-7"


def test_an_exception_is_captured_with_its_frames(
    billdog: BilldogEng, emptied_database: Database
) -> None:
    try:
        json.loads("{")
    except ValueError as error:
        billdog.capture_exception(error, "user-1", {"job": "import"})
    billdog.flush()
    emptied_database.wait_for_rows(1)

    row, properties = stored(emptied_database, "$exception")
    assert row["props"]["$exception_type"] == "JSONDecodeError"
    [entry] = properties["$exception_list"]
    assert entry["stacktrace"]["frames"][-1]["function"] == "raw_decode"


def test_a_large_batch_comes_compressed_and_a_full_one_by_itself(
    billdog: BilldogEng, emptied_database: Database
) -> None:
    for number in range(100):
        billdog.capture(f"user-{number}", "clicked", {"number": number})
    billdog.flush()
    emptied_database.wait_for_rows(100)

    numbers = emptied_database.column(
        "SELECT toUInt32(props['number']) AS n FROM events"
    )
    assert sorted(numbers) == list(range(100))


def test_what_is_queued_at_shutdown_is_delivered(
    standing_service: Service, emptied_database: Database
) -> None:
    with BilldogEng(KEY, host=standing_service.url) as client:
        client.capture("user-1", "last words")

    emptied_database.wait_for_rows(1)


def test_a_wrong_key_is_an_error_that_the_client_understands(
    standing_service: Service,
) -> None:
    client = BilldogEng("bd_not_a_key_of_ours", host=standing_service.url)
    client.capture("user-1", "clicked")

    with pytest.raises(BilldogEngError) as caught:
        client.flush()

    assert (caught.value.status, caught.value.code) == (401, "unknown_key")
    assert "belongs to no site" in caught.value.message
    assert client.queue_length == 1, "it keeps what was not taken"
    client._analytics.stop_timer()
