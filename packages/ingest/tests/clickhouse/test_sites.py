from collections.abc import Callable
from datetime import date

import msgspec
import pytest

from headwater_ingest.clickhouse.client import ClickHouseUrl, Client
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.clickhouse.session import open_session
from headwater_ingest.clickhouse.sites import (
    ClickHouseSites,
    read_fingerprint,
    read_records,
    read_usage,
    write_records,
)
from headwater_ingest.errors import ClickHouseUnreachableError, QueryRefusedError
from headwater_ingest.sites.record import SiteRecord, WriteKey

pytestmark = pytest.mark.clickhouse

FULL = SiteRecord(
    id=2**64 - 1,
    domain="bücher.example",
    former_domain="old.example",
    write_keys=(WriteKey("ab" * 32), WriteKey("cd" * 32, 1_795_341_600_123)),
    consolidated=True,
    rate_limit=0,
    rate_window_seconds=5,
    accept_traffic_until=date(2149, 6, 6),
    monthly_quota=2**63 - 1,
    blocked_addresses=("192.0.2.0/24",),
    blocked_countries=("ZZ",),
    blocked_pages=("/a'b\\c",),
    allowed_hostnames=("*.example.com",),
    revenue_goals={"Purchase": "EUR"},
    allowed_props=("plan", "author"),
    time_zone="Europe/Berlin",
    retention_days=90,
    kept_in="/etc/sites.toml",
    removed=True,
    version=1_795_341_600_123,
)
EMPTY = SiteRecord(id=1, domain="a.example", version=1)


def count_accepted(client: Client, *rows: tuple[str, int, str, int]) -> None:
    """Insert counters as the writer does: minute, site, outcome, count."""
    for minute, site_id, outcome, events in rows:
        client.execute(
            "INSERT INTO ingest_counters (minute, site_id, outcome, count) "
            "SELECT toDateTime(%(minute)s, 'UTC'), %(site)s, %(outcome)s, %(count)s",
            {"minute": minute, "site": site_id, "outcome": outcome, "count": events},
        )


def test_what_is_written_is_read(client: Client) -> None:
    write_records(client, [FULL, EMPTY])

    found = read_records(client)

    assert sorted(found, key=lambda record: record.id) == [EMPTY, FULL]
    assert msgspec.json.decode(msgspec.json.encode(found), type=list[SiteRecord])


def test_of_a_site_the_greatest_version_counts(client: Client) -> None:
    newer = msgspec.structs.replace(EMPTY, domain="b.example", version=2)

    write_records(client, [newer])
    write_records(client, [EMPTY])

    assert read_records(client) == [newer]


def test_nothing_may_be_written(client: Client) -> None:
    write_records(client, [])

    assert read_records(client) == []


def test_every_writing_changes_the_fingerprint(client: Client) -> None:
    seen = {read_fingerprint(client)}

    for version in range(1, 4):
        write_records(client, [msgspec.structs.replace(EMPTY, version=version)])
        seen.add(read_fingerprint(client))
    write_records(client, [msgspec.structs.replace(EMPTY, id=2)])
    seen.add(read_fingerprint(client))

    assert len(seen) == 5


def test_a_reading_changes_nothing(client: Client) -> None:
    write_records(client, [EMPTY])
    before = read_fingerprint(client)
    read_records(client)

    assert read_fingerprint(client) == before


def test_accepted_events_are_summed_up_by_month(client: Client) -> None:
    count_accepted(
        client,
        ("2026-11-01 00:00:00", 7, "accepted", 3),
        ("2026-11-30 23:59:00", 7, "accepted", 4),
        ("2026-12-01 00:00:00", 7, "accepted", 100),
        ("2026-11-02 00:00:00", 7, "dropped", 1000),
        ("2026-11-02 00:00:00", 8, "accepted", 5),
        ("2026-11-02 00:00:00", 9, "accepted", 6),
    )

    assert read_usage(client, date(2026, 11, 21), [7, 8, 10]) == {7: 7, 8: 5}
    assert read_usage(client, date(2026, 12, 1), [7]) == {7: 100}


def test_nobody_is_asked_for_no_sites(client: Client) -> None:
    client.disconnect()

    assert read_usage(client, date(2026, 11, 21), []) == {}


def test_events_that_come_twice_under_one_token_count_once(client: Client) -> None:
    for _ in range(2):
        client.execute(
            "INSERT INTO ingest_counters (minute, site_id, outcome, count) VALUES",
            [[1_795_300_000], [7], ["accepted"], [3]],
            columnar=True,
            settings={"insert_deduplication_token": "block"},
        )

    assert read_usage(client, date(2026, 11, 21), [7]) == {7: 3}


def test_the_table_is_there_for_those_who_change_it(
    client: Client, url: ClickHouseUrl
) -> None:
    table = ClickHouseSites(url)

    table.write([FULL])

    assert table.read() == read_records(client) == [FULL]


def test_a_table_that_is_not_there_is_an_error(url: ClickHouseUrl) -> None:
    with pytest.raises(QueryRefusedError, match=r"refuses \(code 60\): .*sites"):
        ClickHouseSites(url.without_database()).read()


def test_a_server_that_goes_away_meanwhile_is_an_error(
    make_server: Callable[..., EmbeddedClickHouse],
) -> None:
    server = make_server()
    server.start()

    def lose_it() -> None:
        with open_session(server.url.without_database()) as client:
            server.stop(timeout_s=0)
            read_records(client)

    with pytest.raises(ClickHouseUnreachableError):
        lose_it()


def test_a_server_that_is_away_is_an_error() -> None:
    with pytest.raises(ClickHouseUnreachableError):
        ClickHouseSites(ClickHouseUrl("127.0.0.1", port=1)).read()
