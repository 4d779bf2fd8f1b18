"""The table that everything ends in, and the promises that rest on it."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from headwater_ingest.clickhouse.client import Client
from headwater_ingest.clickhouse.columns import encode_columns_at_once
from headwater_ingest.rows import COLUMNS, Rows, merge_columns

pytestmark = pytest.mark.clickhouse

INSERT = f"INSERT INTO events ({', '.join(column.name for column in COLUMNS)}) VALUES"
NOON_MS = 1_760_000_000_123


def insert(client: Client, token: str, *ids: UUID, **constants: Any) -> None:
    rows = Rows(
        [each.bytes for each in ids],
        {"timestamp": NOON_MS, "name": "order", **constants},
        {},
    )
    insert_rows(client, token, rows)


def insert_rows(client: Client, token: str, rows: Rows) -> None:
    encode_columns_at_once(client)
    client.execute(
        INSERT,
        merge_columns([rows]),
        columnar=True,
        settings={"insert_deduplication_token": token},
    )


def count(client: Client, table: str = "events") -> int:
    [(number,)] = client.execute(f"SELECT count() FROM {table}")
    assert isinstance(number, int)
    return number


def test_the_columns_of_the_table_are_those_of_the_rows(client: Client) -> None:
    described = client.execute("DESCRIBE events")
    insertable = [tuple(each[:2]) for each in described if each[2] != "ALIAS"]

    assert insertable == [(column.name, column.type) for column in COLUMNS]


def test_the_columns_have_the_defaults_of_the_rows(client: Client) -> None:
    client.execute("INSERT INTO events (event_id) VALUES", [[UUID(int=0)]])
    insert(client, "t", UUID(int=0), timestamp=0, name="")
    everything = client.execute("SELECT * FROM events")

    assert len(everything) == 2
    assert everything[0] == everything[1]


def test_a_row_comes_back_as_it_went_in(client: Client) -> None:
    row = {
        "site_id": 2**64 - 1,
        "props": {"plan": "pro", "price": "9.99"},
        "properties": '{"cart":[1]}',
        "groups": {"company": "acme"},
        "interactive": False,
        "revenue_source_amount": Decimal("12.345"),
        "revenue_source_currency": "EUR",
        "country_code": "DE",
        "sdk": "headwater-python",
    }
    insert(client, "t", uuid4(), **row)

    [back] = client.execute(f"SELECT {', '.join(row)}, timestamp FROM events")

    assert dict(zip(row, back, strict=False)) == row
    assert back[-1] == datetime(2025, 10, 9, 8, 53, 20, 123_000, UTC)


@pytest.mark.parametrize("table", ["events", "events_unique"])
def test_properties_can_be_asked_for_as_two_arrays(client: Client, table: str) -> None:
    insert(client, "t", uuid4(), props={"plan": "pro", "price": "9.99"})

    rows = client.execute(f"SELECT meta.key, meta.value FROM {table}")

    assert rows == [(["plan", "price"], ["pro", "9.99"])]


def test_an_insert_that_is_repeated_under_its_token_counts_once(client: Client) -> None:
    ids = [uuid4() for _ in range(1000)]
    insert(client, "journal/1-1000", *ids)
    insert(client, "journal/1-1000", *ids)

    assert count(client) == 1000


def test_a_block_over_many_months_counts_once_when_repeated(client: Client) -> None:
    months = [NOON_MS + number * 31 * 86_400_000 for number in range(12)]
    rows = Rows([uuid4().bytes for _ in months], {}, {"timestamp": months})
    for _ in range(2):
        insert_rows(client, "months", rows)

    assert count(client) == 12


def test_the_view_shows_an_event_once_that_came_under_two_tokens(
    client: Client,
) -> None:
    ids = [uuid4() for _ in range(10)]
    insert(client, "one node", *ids)
    insert(client, "another node", *ids)

    assert count(client, "events_unique") == 10


@pytest.mark.parametrize("optimize", [0, 1])
def test_the_view_shows_each_event_once_also_if_inserts_are_not_optimised(
    client: Client, store: Callable[..., None], optimize: int
) -> None:
    """Without it, ClickHouse writes copies within a block as they come."""
    block = [{"event_id": uuid4()}, {"event_id": uuid4()}]
    for token in ("one node", "another node", "one node"):
        store(block * 2, token, optimize_on_insert=optimize)

    assert count(client) == (4 if optimize else 8)
    assert count(client, "events_unique") == 2


def test_the_view_keeps_events_that_differ_in_the_id_only(client: Client) -> None:
    insert(client, "a", uuid4(), uuid4())

    assert count(client, "events_unique") == 2


def test_a_merge_keeps_one_row_of_each_event(client: Client) -> None:
    event = uuid4()
    insert(client, "a", event)
    insert(client, "b", event)
    client.execute("OPTIMIZE TABLE events FINAL")

    assert count(client) == 1


def test_an_insert_is_in_the_table_when_it_is_acknowledged(client: Client) -> None:
    [(asynchronous,)] = client.execute("SELECT getSetting('async_insert')")

    assert not asynchronous
