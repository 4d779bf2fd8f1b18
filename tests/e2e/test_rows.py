"""From the SDK to ClickHouse: every field that goes in, every column that comes out."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from tests.e2e.conftest import MakeClient
from tests.e2e.support.clickhouse import Database
from tests.e2e.support.service import SITE, Service

import headwater
from headwater import Client

WHEN = datetime(2026, 3, 1, 12, 30, 45, 678_000, UTC)
ID = "019a9f3e-1111-7222-8333-444455556666"


class Plan(Enum):
    PRO = "pro"


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PROPERTIES: dict[str, object] = {
    "zebra": "last, and stored in the order of the keys",
    "amount": 49.99,
    "count": 3,
    "huge": 2**70,
    "yes": True,
    "no": False,
    "empty": "",
    "text": 'naïve ☃ 😀 "quoted" \\ \n\'',
    "when": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "day": date(2026, 1, 2),
    "price": Decimal("12.50"),
    "uuid": UUID(int=7),
    "plan": Plan.PRO,
    "raw": b"\x00\xff",
    "nothing": None,
    "not_a_number": float("nan"),
    "tags": ["a", "b", 3],
    "address": {"city": "Oslo", "zip": 150, "$ip": "192.0.2.9"},
    "$session_id": "session-1",
    "$current_url": "https://www.Example.com:8443/caf%C3%A9/menu?utm_source=x#top",
    "$ip": "81.2.69.142",
    "$user_agent": f"{FIREFOX} (secret)",
}

TEXTS = {
    "$current_url": "https://www.Example.com:8443/caf%C3%A9/menu?utm_source=x#top",
    "$session_id": "session-1",
    "amount": "49.99",
    "count": "3",
    "day": "2026-01-02",
    "empty": "",
    "huge": "1180591620717411303424",
    "no": "false",
    "plan": "pro",
    "price": "12.50",
    "raw": "AP8=",
    "text": 'naïve ☃ 😀 "quoted" \\ \n\'',
    "uuid": "00000000-0000-0000-0000-000000000007",
    "when": "2026-01-02T03:04:05Z",
    "yes": "true",
    "zebra": "last, and stored in the order of the keys",
}

DEFAULTS: dict[str, object] = {
    "interactive": True,
    "scroll_depth": 0,
    "engagement_time": 0,
    "revenue_source_amount": None,
    "revenue_reporting_amount": None,
    "revenue_source_currency": "",
    "revenue_reporting_currency": "",
    "referrer": "",
    "referrer_source": "",
    "acquisition_channel": "",
    "click_id_param": "",
    "utm_medium": "",
    "utm_source": "",
    "utm_campaign": "",
    "utm_content": "",
    "utm_term": "",
    "country_code": "",
    "subdivision1_code": "",
    "subdivision2_code": "",
    "city_geoname_id": 0,
    "screen_size": "",
    "operating_system": "",
    "operating_system_version": "",
    "browser": "",
    "browser_version": "",
}


def deliver(client: Client, database: Database, *, events: int) -> None:
    assert client.flush().delivered == events
    database.wait_for_rows(events)


def test_every_field_of_an_event_arrives_in_its_column(
    standing_service: Service, emptied_database: Database, make_client: MakeClient
) -> None:
    client = make_client(standing_service.url)
    began = datetime.now(UTC)
    client.capture(
        "user-1",
        "order_completed",
        PROPERTIES,
        groups={"company": "acme", "team": 7},
        timestamp=WHEN,
        event_id=ID,
    )
    deliver(client, emptied_database, events=1)

    [row] = emptied_database.rows()
    # The server's milliseconds are cut.
    assert began - timedelta(milliseconds=1) <= row.pop("received_at") <= now()
    assert json.loads(row.pop("properties")) == {
        **{name: TEXTS[name] for name in TEXTS},
        "amount": 49.99,
        "count": 3,
        "huge": 2**70,
        "yes": True,
        "no": False,
        "nothing": None,
        "not_a_number": None,
        "tags": ["a", "b", 3],
        "address": {"city": "Oslo", "zip": 150},
    }
    assert row == DEFAULTS | {
        "site_id": derived_site_id(emptied_database),
        "event_id": UUID(ID),
        "name": "order_completed",
        "timestamp": WHEN,
        "user_id": siphash(emptied_database, "user-1"),
        "session_id": siphash(emptied_database, "session-1"),
        "distinct_id": "user-1",
        "hostname": "example.com",
        "pathname": "/café/menu",
        "props": TEXTS,
        "referrer_source": "x",
        "utm_source": "x",
        "acquisition_channel": "Referral",
        "country_code": "GB",
        "screen_size": "Desktop",
        "operating_system": "GNU/Linux",
        "browser": "Firefox",
        "browser_version": "140.0",
        "groups": {"company": "acme", "team": "7"},
        "sdk": "headwater-python",
        "sdk_version": headwater.__version__,
    }


def test_ids_are_hashed_as_clickhouse_itself_hashes_them(
    standing_service: Service, emptied_database: Database, make_client: MakeClient
) -> None:
    client = make_client(standing_service.url)
    people = ["a", "user-1", "Жанна", "x" * 512, "0"]
    for person in people:
        client.capture(person, "seen", {"$session_id": f"s {person}"[:200]})
    deliver(client, emptied_database, events=len(people))

    checked = emptied_database.query(
        "SELECT count(), countIf(user_id = sipHash64(distinct_id)), "
        "countIf(session_id = sipHash64(props['$session_id'])) FROM events"
    )
    assert checked == [(5, 5, 5)]


def test_properties_are_sorted_and_found_by_the_alias_columns(
    standing_service: Service, emptied_database: Database, make_client: MakeClient
) -> None:
    client = make_client(standing_service.url)
    client.capture("u", "e", {"b": 2, "a": 1, "Z": 0, "é": 3})
    deliver(client, emptied_database, events=1)

    [(keys, values, properties)] = emptied_database.query(
        "SELECT `meta.key`, `meta.value`, properties FROM events"
    )
    assert (keys, values) == (["Z", "a", "b", "é"], ["0", "1", "2", "3"])
    assert properties == "", "the map says it all"


def test_no_address_and_no_agent_is_stored_anywhere(
    service: Service, database: Database, make_client: MakeClient
) -> None:
    secret = {"$ip": "203.0.113.7", "$user_agent": "Mozilla/5.0 (secret)"}
    client = make_client(service.url)
    client.capture("u", "top", secret)
    client.capture("u", "deep", {"a": [{"b": secret}], **secret})
    client.identify("u", {"name": "Ada", **secret}, set_once=secret)
    client.group_identify("company", "acme", {"seats": 5, **secret})
    deliver(client, database, events=4)

    found = database.query(
        "SELECT count() FROM events WHERE toString(tuple(*)) LIKE '%203.0.113%' "
        "OR toString(tuple(*)) ILIKE '%secret%' OR toString(tuple(*)) LIKE '%$ip%'"
    )
    assert found == [(0,)]
    assert service.stop() == 0
    for file in service.data_dir.rglob("*"):
        if file.is_file():
            assert b"203.0.113.7" not in file.read_bytes(), file


def test_statements_about_people_and_groups_are_stored_as_events(
    standing_service: Service, emptied_database: Database, make_client: MakeClient
) -> None:
    client = make_client(standing_service.url)
    client.identify("ada", {"plan": "pro"}, set_once={"first_seen": "2026-01-01"})
    client.group_identify("company", "acme", {"seats": 50})
    client.alias("ada", "anonymous-7")
    deliver(client, emptied_database, events=3)

    assert statements(emptied_database) == {
        "$identify": (
            "ada",
            {"$set": {"plan": "pro"}, "$set_once": {"first_seen": "2026-01-01"}},
        ),
        "$groupidentify": (
            "acme",
            {
                "$group_type": "company",
                "$group_key": "acme",
                "$group_set": {"seats": 50},
            },
        ),
        "$create_alias": ("ada", {"alias": "anonymous-7"}),
    }


def test_an_event_without_properties_has_an_empty_row(
    standing_service: Service, emptied_database: Database, make_client: MakeClient
) -> None:
    client = make_client(standing_service.url)
    before = now()
    client.capture("user-1", "ping")
    after = now()
    deliver(client, emptied_database, events=1)

    [row] = emptied_database.rows()
    assert (row["props"], row["properties"], row["groups"]) == ({}, "", {})
    assert (row["session_id"], row["hostname"], row["pathname"]) == (0, "", "")
    assert before - timedelta(milliseconds=1) <= row["timestamp"] <= after


def now() -> datetime:
    return datetime.now(UTC)


def siphash(database: Database, text: str) -> int:
    [(number,)] = database.query("SELECT sipHash64(%(text)s)", {"text": text})
    assert isinstance(number, int)
    return number


def derived_site_id(database: Database) -> int:
    """Reads the site's id from the rows; there is one site."""
    [site_id] = database.column("SELECT DISTINCT site_id FROM events")
    assert isinstance(site_id, int)
    assert site_id > 0, SITE
    return site_id


def statements(database: Database) -> dict[str, tuple[str, dict[str, Any]]]:
    """Returns id and properties of each event by its name."""
    return {
        row["name"]: (
            row["distinct_id"],
            json.loads(row["properties"]) if row["properties"] else row["props"],
        )
        for row in database.rows()
    }
