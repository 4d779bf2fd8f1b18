"""Persons and groups, made of what both clients state about them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from billdogeng import BilldogEng
from tests.e2e.conftest import MakeClient
from tests.e2e.support.clickhouse import Database
from tests.e2e.support.service import KEY, Service

Rows = list[tuple[Any, ...]]


@pytest.fixture
def billdog(service: Service) -> Iterator[BilldogEng]:
    client = BilldogEng(KEY, host=service.url, flush_interval=3_600_000)
    yield client
    client.shutdown()


def wait_for_views(service: Service, database: Database, *, rows: int) -> None:
    """Returns when so many events are stored, and what is made of them is too."""
    database.wait_for_rows(rows)
    service.wait_until_written()


def operations(database: Database) -> Rows:
    """Returns all operations on properties of persons, in the order they count in."""
    return database.query(
        "SELECT distinct_id, key, op, value FROM person_ops FINAL "
        "ORDER BY distinct_id, key, timestamp, seq, op"
    )


def group_operations(database: Database) -> Rows:
    return database.query(
        "SELECT group_type, group_key, key, op, value FROM group_ops FINAL "
        "ORDER BY group_type, group_key, key, timestamp, seq, op"
    )


def links(database: Database) -> Rows:
    return database.query(
        "SELECT alias, distinct_id FROM person_aliases FINAL ORDER BY timestamp, seq"
    )


def ids(database: Database) -> dict[str, str]:
    """Returns the person of each id that was ever linked."""
    rows = database.query("SELECT distinct_id, person_id FROM person_ids")
    return {distinct_id: person for distinct_id, person in rows}  # noqa: C416 - any tuple


def persons(database: Database) -> dict[str, tuple[list[str], dict[str, Any]]]:
    """Returns ids and properties by person; the texts of both columns agree."""
    found = database.query(
        "SELECT person_id, distinct_ids, props, properties FROM persons"
    )
    for _, _, props, properties in found:
        assert props == as_texts(json.loads(properties))
    return {
        person: (distinct_ids, json.loads(properties))
        for person, distinct_ids, _, properties in found
    }


def groups(database: Database) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (kind, key): json.loads(properties)
        for kind, key, properties in database.query(
            "SELECT group_type, group_key, properties FROM groups"
        )
    }


def as_texts(properties: dict[str, Any]) -> dict[str, str]:
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in properties.items()
        if not isinstance(value, list | dict)
    }


def visits(database: Database) -> Rows:
    """Returns whose each visit was, and the plan of that person."""
    return database.query(
        "SELECT distinct_id, person_id, person_props['plan'] FROM person_events "
        "WHERE name = 'visit' ORDER BY distinct_id"
    )


def test_what_our_sdk_states_about_people_and_groups_is_what_the_views_say(
    service: Service, database: Database, make_client: MakeClient
) -> None:
    client = make_client(service.url)
    client.identify("ada", {"plan": "free", "mail": "a@b.c"}, set_once={"seen": 2025})
    client.identify("ada", {"plan": "pro"}, set_once={"seen": 2026})
    for _ in range(2):
        client.capture(
            "ada", "$set", {"$add": {"logins": 1.5}, "$append": {"tags": ["a", None]}}
        )
    client.capture("ada", "$set", {"$unset": ["mail", "unknown"]})
    client.capture("bob", "order", {"$set": {"plan": "of no person"}})
    client.group_identify("company", "acme", {"seats": 50, "plan": "free"})
    client.group_identify("company", "acme", {"seats": 51})
    client.group_identify("team", "acme", {"lead": "ada"})
    assert client.flush().delivered == 9
    wait_for_views(service, database, rows=9)

    assert operations(database) == [
        ("ada", "logins", "add", "1.5"),
        ("ada", "logins", "add", "1.5"),
        ("ada", "mail", "set", '"a@b.c"'),
        ("ada", "mail", "unset", ""),
        ("ada", "plan", "set", '"free"'),
        ("ada", "plan", "set", '"pro"'),
        ("ada", "seen", "set_once", "2025"),
        ("ada", "seen", "set_once", "2026"),
        ("ada", "tags", "append", '["a",null]'),
        ("ada", "tags", "append", '["a",null]'),
        ("ada", "unknown", "unset", ""),
    ]
    ada = {"plan": "pro", "seen": 2025, "logins": 3, "tags": [["a", None]] * 2}
    assert persons(database) == {"ada": (["ada"], ada)}
    assert group_operations(database) == [
        ("company", "acme", "plan", "set", '"free"'),
        ("company", "acme", "seats", "set", "50"),
        ("company", "acme", "seats", "set", "51"),
        ("team", "acme", "lead", "set", '"ada"'),
    ]
    assert groups(database) == {
        ("company", "acme"): {"plan": "free", "seats": 51},
        ("team", "acme"): {"lead": "ada"},
    }


def test_a_chain_of_aliases_of_our_sdk_makes_one_person_of_all_ids(
    service: Service, database: Database, make_client: MakeClient
) -> None:
    client = make_client(service.url)
    for person in ("cookie", "laptop", "phone", "ada", "bob"):
        client.capture(person, "visit")
    client.capture("cookie", "$set", {"$set": {"plan": "free", "campaign": "spring"}})
    client.alias("laptop", "cookie")
    client.alias("ada", "laptop")
    client.capture("ada", "$identify", {"$anon_distinct_id": "phone"})
    client.identify("ada", {"plan": "pro"}, set_once={"campaign": "too late"})
    assert client.flush().delivered == 10
    wait_for_views(service, database, rows=10)

    assert links(database) == [
        ("cookie", "laptop"),
        ("laptop", "ada"),
        ("phone", "ada"),
    ]
    assert ids(database) == dict.fromkeys(("ada", "cookie", "laptop", "phone"), "ada")
    assert persons(database) == {
        "ada": (
            ["ada", "cookie", "laptop", "phone"],
            {"plan": "pro", "campaign": "spring"},
        )
    }
    assert visits(database) == [
        ("ada", "ada", "pro"),
        ("bob", "bob", ""),
        ("cookie", "ada", "pro"),
        ("laptop", "ada", "pro"),
        ("phone", "ada", "pro"),
    ]


def test_what_billdogeng_states_about_people_and_groups_is_what_the_views_say(
    service: Service, database: Database, billdog: BilldogEng
) -> None:
    billdog.identify("ada", {"plan": "free", "mail": "a@b.c"})
    billdog.identify("ada", {"plan": "pro"})
    billdog.group_identify("company", "acme", {"seats": 50, "plan": "free"})
    billdog.group_identify("company", "acme", {"seats": 51})
    billdog.flush()
    wait_for_views(service, database, rows=4)
    for seen in (2025, 2026):
        billdog.set_person_properties(
            "ada",
            set={"city": "Oslo"},
            set_once={"seen": seen},
            add={"logins": 1},
            append={"tags": "vip"},
            unset=["mail"],
        )
    wait_for_views(service, database, rows=6)

    added = [
        ("ada", "city", "set", '"Oslo"'),
        ("ada", "logins", "add", "1"),
        ("ada", "mail", "unset", ""),
        ("ada", "seen", "set_once", "2025"),
        ("ada", "seen", "set_once", "2026"),
        ("ada", "tags", "append", '"vip"'),
    ]
    assert set(operations(database)) == {
        ("ada", "mail", "set", '"a@b.c"'),
        ("ada", "plan", "set", '"free"'),
        ("ada", "plan", "set", '"pro"'),
        *added,
    }
    ada = {
        "plan": "pro",
        "city": "Oslo",
        "seen": 2025,
        "logins": 2,
        "tags": ["vip", "vip"],
    }
    assert persons(database) == {"ada": (["ada"], ada)}
    assert group_operations(database) == [
        ("company", "acme", "plan", "set", '"free"'),
        ("company", "acme", "seats", "set", "50"),
        ("company", "acme", "seats", "set", "51"),
    ]
    assert groups(database) == {("company", "acme"): {"plan": "free", "seats": 51}}


def test_both_clients_speak_of_the_same_person(
    service: Service,
    database: Database,
    billdog: BilldogEng,
    make_client: MakeClient,
) -> None:
    for person in ("cookie", "phone", "laptop", "bob"):
        billdog.capture(person, "visit")
    billdog.alias("laptop", "cookie")
    billdog.flush()
    billdog.set_person_properties("cookie", set={"plan": "free"}, add={"logins": 1})
    wait_for_views(service, database, rows=6)
    client = make_client(service.url)
    client.alias("ada", "laptop")
    client.identify("ada", {"plan": "pro"})
    client.capture("ada", "visit")
    client.flush()
    wait_for_views(service, database, rows=9)
    billdog.alias("ada", "phone")
    billdog.flush()
    billdog.set_person_properties("phone", add={"logins": 2})
    wait_for_views(service, database, rows=11)

    assert links(database) == [
        ("cookie", "laptop"),
        ("laptop", "ada"),
        ("phone", "ada"),
    ]
    everything = ["ada", "cookie", "laptop", "phone"]
    assert ids(database) == dict.fromkeys(everything, "ada")
    assert persons(database) == {"ada": (everything, {"plan": "pro", "logins": 3})}
    assert visits(database) == [
        ("ada", "ada", "pro"),
        ("bob", "bob", ""),
        ("cookie", "ada", "pro"),
        ("laptop", "ada", "pro"),
        ("phone", "ada", "pro"),
    ]
