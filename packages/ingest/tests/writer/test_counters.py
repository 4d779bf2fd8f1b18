"""Counters reach ClickHouse in the blocks of their rows: each count exactly once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headwater_ingest.clickhouse.client import ClickHouseUrl, Client, connect
from headwater_ingest.journal import Count, Journal
from headwater_ingest.journal.counts import tally
from headwater_ingest.writer.block import make_counter_insert
from headwater_ingest.writer.sink import ClickHouseSink

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from headwater_ingest.writer.block import Insert
    from headwater_ingest.writer.progress import Progress

    Fill = Callable[..., list[UUID]]
    Write = Callable[..., Progress]

KILLED_WRITER = Path(__file__).with_name("killed_writer.py")
ACCEPTED, BOTS = Count(7, "accepted", "", 25), Count(7, "dropped", "bot", 3)
UNKNOWN = Count(0, "dropped", "not_found", 1)
NOON_S = 1_790_000_000 // 60 * 60


class MemorySink:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.inserts: list[Insert] = []

    def insert(self, insert: Insert) -> None:
        self.inserts.append(insert)


@pytest.fixture
def count(journal: Journal) -> Callable[[Count], None]:
    """Returns a function that counts events without rows, on disk at once."""

    async def flush(each: Count) -> None:
        journal.count(each)
        await journal.flush_counts()

    return lambda each: asyncio.run(flush(each))


def counters(client: Client) -> dict[tuple[int, str, str], int]:
    rows = client.execute(
        "SELECT site_id, outcome, reason, sum(count) FROM ingest_counters GROUP BY ALL"
    )
    return {(site, outcome, reason): events for site, outcome, reason, events in rows}


def test_an_insert_of_counters_has_a_row_per_minute_site_outcome_and_reason() -> None:
    minutes = {
        NOON_S: tally([ACCEPTED, BOTS]),
        NOON_S + 60: tally([ACCEPTED]),
    }

    insert = make_counter_insert(minutes, "uuid/1-9")

    assert insert.table == "ingest_counters"
    assert insert.token == "uuid/1-9/ingest_counters"
    assert dict(zip(insert.names, insert.columns, strict=True)) == {
        "minute": [NOON_S, NOON_S, NOON_S + 60],
        "site_id": [7, 7, 7],
        "outcome": ["accepted", "dropped", "accepted"],
        "reason": ["", "bot", ""],
        "count": [25, 3, 25],
    }


def test_the_counts_of_a_block_are_one_insert_after_its_rows(
    fill: Fill, write: Write
) -> None:
    fill(4, rows=5, counts=(ACCEPTED, BOTS))
    sink = MemorySink()

    progress = write(sink)

    assert [each.table for each in sink.inserts] == ["events", "ingest_counters"]
    assert sink.inserts[1].columns[-1] == [100, 12]
    assert progress.status.rows_written == 20


def test_a_block_without_counts_is_one_insert(fill: Fill, write: Write) -> None:
    fill(1)
    sink = MemorySink()

    write(sink)

    assert [each.table for each in sink.inserts] == ["events"]


def test_counts_without_rows_are_written_and_are_no_rows(
    write: Write, count: Callable[[Count], None]
) -> None:
    count(BOTS)
    sink = MemorySink()

    progress = write(sink)

    assert [each.table for each in sink.inserts] == ["ingest_counters"]
    assert (progress.status.rows_written, progress.status.blocks_written) == (0, 1)


@pytest.mark.clickhouse
@pytest.mark.parametrize("point", ["before insert", "after insert", "after checkpoint"])
def test_a_writer_killed_at_any_point_counts_each_event_once(
    tmp_path: Path,
    url: ClickHouseUrl,
    client: Client,
    *,
    fill: Fill,
    write: Write,
    count: Callable[[Count], None],
    point: str,
) -> None:
    fill(10, rows=25, counts=(ACCEPTED, BOTS))
    count(UNKNOWN)
    fill(10, rows=25, counts=(ACCEPTED,))
    for nth in (1, 2, 3, 4):
        run = subprocess.run(
            [sys.executable, KILLED_WRITER, tmp_path, point, str(nth)],
            input=url.with_password().encode(),
            check=False,
            timeout=60,
        )
        assert run.returncode == -9
    count(UNKNOWN)

    with closing(ClickHouseSink(partial(connect, url), lambda _: None)) as sink:
        write(sink)

    assert counters(client) == {
        (7, "accepted", ""): 500,
        (7, "dropped", "bot"): 30,
        (0, "dropped", "not_found"): 2,
    }
    assert client.execute("SELECT count() FROM events") == [(500,)]
    assert client.execute("SELECT site_id, sum(accepted) FROM site_usage GROUP BY ALL")[
        0
    ] == (7, 500)
