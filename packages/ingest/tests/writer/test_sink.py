"""Rows in a real ClickHouse: every column, each row once, and after errors too."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from clickhouse_driver.errors import TypeMismatchError

from headwater_ingest.clickhouse.client import ClickHouseUrl, Client, connect
from headwater_ingest.errors import ClickHouseUnreachableError
from headwater_ingest.rows import COLUMNS, Rows, decode_rows, encode_rows
from headwater_ingest.writer.block import Insert, make_inserts
from headwater_ingest.writer.classify import FailureKind, classify
from headwater_ingest.writer.sink import ClickHouseSink

pytestmark = pytest.mark.clickhouse

NAMES = [column.name for column in COLUMNS]
DEFAULTS = {column.name: column.default for column in COLUMNS}
MONTH_MS = 31 * 86_400_000

EVERY_COLUMN = {
    "site_id": 2**64 - 1,
    "name": "purchase",
    "timestamp": 1_790_000_000_123,
    "received_at": 1_790_000_001_456,
    "user_id": 2**63 + 1,
    "session_id": 2**63 + 2,
    "distinct_id": "Zoë 🦊",
    "hostname": "example.com",
    "pathname": "/shop",
    "props": {"plan": "premium", "é": "ü"},
    "properties": '{"nested":{"a":[1]}}',
    "groups": {"company": "acme"},
    "interactive": False,
    "scroll_depth": 255,
    "engagement_time": 2**32 - 1,
    "revenue_source_amount": "19.990",
    "revenue_source_currency": "USD",
    "revenue_reporting_amount": "18.123",
    "revenue_reporting_currency": "EUR",
    "referrer": "https://example.org/",
    "referrer_source": "Example",
    "acquisition_channel": "Direct",
    "click_id_param": "gclid",
    "utm_medium": "email",
    "utm_source": "letter",
    "utm_campaign": "june",
    "utm_content": "top",
    "utm_term": "shoes",
    "country_code": "EE",
    "subdivision1_code": "EE-37",
    "subdivision2_code": "EE-784",
    "city_geoname_id": 588409,
    "screen_size": "Desktop",
    "operating_system": "GNU/Linux",
    "operating_system_version": "6.1",
    "browser": "Firefox",
    "browser_version": "130.0",
    "sdk": "python",
    "sdk_version": "0.1.0",
}


@pytest.fixture
def sink(url: ClickHouseUrl) -> Iterator[ClickHouseSink]:
    with closing(ClickHouseSink(partial(connect, url), lambda _: None)) as sink:
        yield sink


def make_insert(rows: int, token: str, **values: Any) -> Insert:
    ids = [uuid4().bytes for _ in range(rows)]
    constants = {"site_id": 7, "timestamp": 1_790_000_000_000} | values
    (insert,) = make_inserts([Rows(ids, constants, {})], token)
    return insert


def count_rows(client: Client) -> int:
    (row,) = client.execute("SELECT count() FROM events")
    count: int = row[0]
    return count


def test_every_column_arrives_as_it_was_sent(
    sink: ClickHouseSink, client: Client
) -> None:
    event_id = uuid4()
    rows = decode_rows(encode_rows(Rows([event_id.bytes], EVERY_COLUMN, {})))

    (insert,) = make_inserts([rows], "token")
    assert list(insert.names) == NAMES
    sink.insert(insert)

    (found,) = client.execute(f"SELECT {', '.join(NAMES)} FROM events")
    expected = EVERY_COLUMN | {
        "event_id": event_id,
        "timestamp": datetime(2026, 9, 21, 14, 13, 20, 123000, UTC),
        "received_at": datetime(2026, 9, 21, 14, 13, 21, 456000, UTC),
        "revenue_source_amount": Decimal("19.990"),
        "revenue_reporting_amount": Decimal("18.123"),
    }
    assert dict(zip(NAMES, found, strict=True)) == expected


def test_what_is_not_said_is_the_default(sink: ClickHouseSink, client: Client) -> None:
    (insert,) = make_inserts([Rows([UUID(int=5).bytes], {}, {})], "token")
    sink.insert(insert)

    (found,) = client.execute(f"SELECT {', '.join(NAMES)} FROM events")
    values = dict(zip(NAMES, found, strict=True))
    for column in COLUMNS:
        value = values[column.name]
        if column.name == "event_id":
            assert value == UUID(int=5)
        elif column.type.startswith("DateTime64"):
            assert value == datetime(1970, 1, 1, tzinfo=UTC)
        else:
            assert value == DEFAULTS[column.name]


def test_a_known_token_stores_nothing(sink: ClickHouseSink, client: Client) -> None:
    insert = make_insert(10, "token")

    sink.insert(insert)
    sink.insert(insert)

    assert count_rows(client) == 10


def test_equal_rows_under_another_token_are_stored(
    sink: ClickHouseSink, client: Client
) -> None:
    # Not the content but the token says what was sent before.
    insert = make_insert(10, "token")

    sink.insert(insert)
    sink.insert(replace(insert, token="another"))

    assert count_rows(client) == 20


def test_years_of_history_fit(sink: ClickHouseSink, client: Client) -> None:
    times = [946_684_800_000 + month * MONTH_MS for month in range(120)]
    ids = [uuid4().bytes for _ in times]
    history = Rows(ids, {"site_id": 7}, {"timestamp": times})

    for _ in range(2):
        for insert in make_inserts([history], "token"):
            sink.insert(insert)

    assert count_rows(client) == 120


def test_more_partitions_than_allowed_are_rejected(
    sink: ClickHouseSink, client: Client
) -> None:
    times = [946_684_800_000 + month * MONTH_MS for month in range(120)]
    ids = [uuid4().bytes for _ in times]
    uncut = Insert("token", ("event_id", "timestamp"), [ids, times])

    with pytest.raises(Exception, match="Too many partitions") as caught:
        sink.insert(uncut)

    assert classify(caught.value).kind is FailureKind.REJECTED
    assert count_rows(client) == 0


@pytest.mark.parametrize(
    "column, value",
    [
        ("site_id", "a text"),
        ("site_id", -1),
        ("user_id", 2**64),
        ("scroll_depth", 256),
        ("event_id", "a text"),
        ("timestamp", "yesterday"),
        ("country_code", "too long"),
        ("hostname", None),
        ("hostname", 5),
        ("props", "a text"),
        ("props", {"key": None}),
        ("revenue_source_amount", Decimal(10) ** 30),
    ],
)
def test_values_that_do_not_fit_are_rejected_and_the_next_rows_written(
    sink: ClickHouseSink, client: Client, *, column: str, value: object
) -> None:
    bad = make_insert(3, "bad", **{column: DEFAULTS[column]})
    bad.columns[bad.names.index(column)][1] = value

    with pytest.raises(Exception) as caught:  # noqa: PT011  # whatever it raises
        sink.insert(bad)

    assert classify(caught.value).kind is FailureKind.REJECTED
    sink.insert(make_insert(5, "good"))
    assert count_rows(client) == 5


def test_a_missing_table_is_fatal(sink: ClickHouseSink, client: Client) -> None:
    client.execute("DROP TABLE events")

    with pytest.raises(Exception, match="events") as caught:
        sink.insert(make_insert(1, "token"))

    assert classify(caught.value).kind is FailureKind.FATAL


def test_a_table_of_a_newer_schema_takes_the_rows(
    sink: ClickHouseSink, client: Client
) -> None:
    client.execute("ALTER TABLE events ADD COLUMN later String DEFAULT 'x'")

    sink.insert(make_insert(2, "token"))

    assert count_rows(client) == 2


def test_time_is_noted_for_each_insert(url: ClickHouseUrl) -> None:
    noted: list[float] = []
    with closing(ClickHouseSink(partial(connect, url), noted.append)) as sink:
        sink.insert(make_insert(1, "a"))
        bad = make_insert(1, "b", hostname=5)
        with pytest.raises(TypeMismatchError, match="hostname"):
            sink.insert(bad)

    assert len(noted) == 2
    assert min(noted) > 0


def test_nobody_there_is_transient() -> None:
    nowhere = ClickHouseUrl("127.0.0.1", port=1)
    connected: Callable[[], Client] = partial(connect, nowhere)
    with (
        closing(ClickHouseSink(connected, lambda _: None)) as sink,
        pytest.raises(ClickHouseUnreachableError) as caught,
    ):
        sink.insert(make_insert(1, "token"))

    assert classify(caught.value).kind is FailureKind.TRANSIENT
