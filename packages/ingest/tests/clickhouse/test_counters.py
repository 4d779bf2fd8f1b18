"""The counters per minute and site: sums that no repetition can change."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import pytest

from headwater_ingest.clickhouse.client import Client

pytestmark = pytest.mark.clickhouse

INSERT: Final = (
    "INSERT INTO ingest_counters (minute, site_id, outcome, reason, count) VALUES"
)
NOON: Final = datetime(2026, 9, 21, 12, tzinfo=UTC)
NOON_S: Final = int(NOON.timestamp())
TOTALS: Final = (
    "SELECT minute, site_id, outcome, reason, sum(count) FROM ingest_counters "
    "GROUP BY ALL ORDER BY ALL"
)

Row = tuple[int, int, str, str, int]


def insert(client: Client, token: str, *rows: Row, optimize_on_insert: int = 1) -> None:
    client.execute(
        INSERT,
        [list(column) for column in zip(*rows, strict=True)],
        columnar=True,
        settings={
            "insert_deduplication_token": token,
            "optimize_on_insert": optimize_on_insert,
        },
    )


@pytest.mark.parametrize("optimize", [0, 1])
def test_counts_of_one_minute_add_up_and_a_repeated_block_adds_nothing(
    client: Client, optimize: int
) -> None:
    bots = (NOON_S, 7, "dropped", "bot")
    insert(client, "1-10", (*bots, 2), (*bots, 1), optimize_on_insert=optimize)
    insert(client, "11-20", (*bots, 4), optimize_on_insert=optimize)
    insert(client, "1-10", (*bots, 2), (*bots, 1), optimize_on_insert=optimize)

    assert client.execute(TOTALS) == [(NOON, 7, "dropped", "bot", 7)]


def test_events_and_counters_of_one_block_share_its_token(
    client: Client, store: Callable[..., None]
) -> None:
    """The writer is killed between the two INSERTs, and sends both again."""
    for is_whole in (False, True):
        store([{"event_id": UUID(int=1)}], "1-10")
        if is_whole:
            insert(client, "1-10", (NOON_S, 7, "accepted", "", 1))

    assert client.execute("SELECT count() FROM events") == [(1,)]
    assert client.execute(TOTALS) == [(NOON, 7, "accepted", "", 1)]


def test_minutes_sites_outcomes_and_reasons_are_counted_apart(client: Client) -> None:
    rows: list[Row] = [
        (NOON_S, 0, "dropped", "not_found", 1),
        (NOON_S, 7, "accepted", "", 2),
        (NOON_S, 7, "dropped", "bot", 3),
        (NOON_S, 7, "dropped", "throttle", 4),
    ]
    insert(client, "token", *rows, (NOON_S + 60, 7, "accepted", "", 5))

    found = client.execute(TOTALS)

    assert [row[1:] for row in found[:-1]] == [row[1:] for row in rows]
    assert found[-1] == (NOON.replace(minute=1), 7, "accepted", "", 5)


def test_a_merge_leaves_one_row_of_each_sum(client: Client) -> None:
    for token in "abc":
        insert(client, token, (NOON_S, 7, "accepted", "", 5))
    client.execute("OPTIMIZE TABLE ingest_counters FINAL")

    assert client.execute("SELECT count FROM ingest_counters") == [(15,)]
