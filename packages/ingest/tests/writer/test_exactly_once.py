"""Kills and outages between journal and ClickHouse: every row arrives exactly once.

Copies would be counted here before any merge can collapse them: the tables are asked
without FINAL, and merges are stopped.
"""

import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from headwater_ingest.clickhouse.client import ClickHouseUrl, Client, connect
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.clickhouse.migrate import migrate
from headwater_ingest.errors import ClickHouseUnreachableError
from headwater_ingest.journal import Count
from headwater_ingest.journal.dead_letters import open_dead_letters
from headwater_ingest.writer.progress import Progress
from headwater_ingest.writer.sink import ClickHouseSink

pytestmark = pytest.mark.clickhouse

KILLED_WRITER = Path(__file__).with_name("killed_writer.py")
YEAR_MS = 366 * 86_400_000
COUNTS = (Count(7, "accepted", "", 500),)

Fill = Callable[..., list[UUID]]
Write = Callable[..., Progress]


def stored_ids(client: Client) -> list[UUID]:
    return [row[0] for row in client.execute("SELECT event_id FROM events")]


def write_and_be_killed(
    directory: Path, url: ClickHouseUrl, point: str, nth: int
) -> None:
    run = subprocess.run(
        [sys.executable, KILLED_WRITER, directory, point, str(nth)],
        input=url.with_password().encode(),
        check=False,
        timeout=60,
    )
    assert run.returncode == -9


@pytest.fixture
def sink(url: ClickHouseUrl, client: Client) -> ClickHouseSink:
    client.execute("SYSTEM STOP MERGES events")
    return ClickHouseSink(partial(connect, url), lambda _: None)


@pytest.mark.parametrize("point", ["before insert", "after insert", "after checkpoint"])
def test_a_writer_killed_at_any_point_writes_each_row_once(
    tmp_path: Path,
    url: ClickHouseUrl,
    fill: Fill,
    write: Write,
    *,
    client: Client,
    sink: ClickHouseSink,
    point: str,
) -> None:
    ids = fill(20, rows=25)
    for nth in (1, 2, 3):
        write_and_be_killed(tmp_path, url, point, nth)
    ids += fill(2, rows=25)

    with closing(sink):
        write(sink)

    assert sorted(stored_ids(client)) == sorted(ids)


def test_a_writer_killed_between_the_years_of_a_block_writes_each_row_once(
    tmp_path: Path,
    url: ClickHouseUrl,
    fill: Fill,
    write: Write,
    *,
    client: Client,
    sink: ClickHouseSink,
) -> None:
    times = [1_600_000_000_000 + year * YEAR_MS for year in range(5)]
    ids = fill(3, rows=5, times=times)
    write_and_be_killed(tmp_path, url, "after insert", 3)
    assert 0 < len(stored_ids(client)) < len(ids)

    with closing(sink):
        write(sink)

    assert sorted(stored_ids(client)) == sorted(ids)


def test_a_clickhouse_killed_again_and_again_has_each_row_once(
    tmp_path: Path,
    fill: Fill,
    write: Write,
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    chance = random.Random(random.random())  # pytest-randomly prints its seed
    server = EmbeddedClickHouse(tmp_path / "clickhouse")
    server.start()
    try:
        migrate(server.url)
        sink = ClickHouseSink(partial(connect, server.url), lambda _: None)
        ids: list[UUID] = []
        for _ in range(5):
            ids += fill(20, rows=500, counts=COUNTS, constants={"session_id": 9})
            killer = kill_later(server, chance.random() * 0.1)
            with closing(sink):
                write(sink, block_rows=1000, timeout_s=60)
            killer.wait()
        eventually(lambda: answers(server.url))  # the kill may come after the rows
        with connect(server.url) as client:
            assert sorted(stored_ids(client)) == sorted(ids)
            assert client.execute("SELECT events, pageviews FROM sessions") == [
                (len(ids), len(ids))
            ]
            for column, table in (
                ("count", "ingest_counters"),
                ("accepted", "site_usage"),
            ):
                sums = client.execute(f"SELECT sum({column}) FROM {table}")
                assert sums == [(len(ids),)]
    finally:
        server.stop(timeout_s=0)


def answers(url: ClickHouseUrl) -> bool:
    try:
        connect(url).disconnect()
    except ClickHouseUnreachableError:
        return False
    return True


def kill_later(server: EmbeddedClickHouse, seconds: float) -> subprocess.Popen[bytes]:
    """Kill the server from outside, so that this thread may be busy."""
    return subprocess.Popen(
        ["/bin/sh", "-c", f"sleep {seconds:.3f}; kill -9 {server.pid}"]
    )


def test_bad_rows_are_dead_and_good_ones_written_once_through_kills_in_between(
    tmp_path: Path,
    url: ClickHouseUrl,
    fill: Fill,
    write: Write,
    *,
    client: Client,
    sink: ClickHouseSink,
) -> None:
    client.execute("ALTER TABLE events ADD CONSTRAINT c CHECK pathname != '/bad'")
    good = fill(4, rows=10)
    bad = fill(1, rows=2, constants={"pathname": "/bad"})
    good += fill(4, rows=10)
    worse = fill(1, rows=1, constants={"country_code": "DEU"})  # the driver refuses it
    for nth in (2, 4, 6, 9):
        write_and_be_killed(tmp_path, url, "before insert", nth)
    write_and_be_killed(tmp_path, url, "before checkpoint", 1)

    with closing(sink):
        write(sink)

    assert sorted(stored_ids(client)) == sorted(good)
    with open_dead_letters(tmp_path) as letters:
        dead = letters.read()
    assert sorted(each.event_id for each in dead) == sorted(bad + worse)
    assert {each.error.partition(":")[0] for each in dead} == {"code 469", "code 131"}


def test_a_view_of_your_own_that_fails_holds_the_block_and_doubles_nothing(
    tmp_path: Path,
    url: ClickHouseUrl,
    fill: Fill,
    write: Write,
    *,
    client: Client,
    sink: ClickHouseSink,
) -> None:
    client.execute("CREATE TABLE mine (at DateTime) ENGINE = MergeTree ORDER BY at")
    client.execute(
        "ALTER TABLE mine MODIFY SETTING non_replicated_deduplication_window = 9"
    )
    client.execute(
        "CREATE MATERIALIZED VIEW feed TO mine AS SELECT "
        "if(throwIf(name = 'pageview') = 0, timestamp, timestamp) AS at FROM events"
    )
    ids = fill(2, rows=10)

    with closing(sink):
        progress = write(sink, timeout_s=0.5)
        assert progress.status.last_error is not None
        assert progress.status.last_error.kind == "fatal"
        client.execute(
            "ALTER TABLE feed MODIFY QUERY SELECT timestamp AS at FROM events"
        )
        write(sink)

    assert sorted(stored_ids(client)) == sorted(ids)
    assert client.execute("SELECT count() FROM mine") == [(20,)]
    with open_dead_letters(tmp_path) as letters:
        assert letters.count() == 0
