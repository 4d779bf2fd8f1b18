"""The salts of nodes, with a real table, a real disk and a clock of the test's own."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest
from structlog.testing import capture_logs

from headwater_ingest import salt_sync as module
from headwater_ingest.clickhouse.client import ClickHouseUrl, connect
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.clickhouse.migrate import migrate
from headwater_ingest.salt_sync import SaltSync
from headwater_ingest.shared_tables import SharedTables
from headwater_ingest.visitors.salts import DAY_MS, Salts
from headwater_ingest.visitors.salts_file import FILE_NAME, read_salts

pytestmark = pytest.mark.clickhouse

NOWHERE = ClickHouseUrl("127.0.0.1", port=1)
NOON_MS = DAY_MS // 2
T = TypeVar("T")

_numbers = count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    with EmbeddedClickHouse(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server


@pytest.fixture
def url(server: EmbeddedClickHouse) -> ClickHouseUrl:
    url = replace(server.url, database=f"salts_{next(_numbers)}")
    migrate(url)
    return url


def run(work: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(20):
            return await work

    return asyncio.run(bounded())


def midnight_ms() -> int:
    """The last midnight of ClickHouse's clock, by which it drops old days."""
    return time.time_ns() // 1_000_000 // DAY_MS * DAY_MS


@dataclass
class Node:
    """One node, whose ClickHouse can go away, and whose clock is set."""

    data_dir: Path
    url: ClickHouseUrl
    now_ms: int
    is_there: bool = True

    def __post_init__(self) -> None:
        self.data_dir.mkdir(exist_ok=True)
        self.salts = Salts(read_salts(self.data_dir), delay_ms=0)
        self.sync = SaltSync(
            self.salts,
            data_dir=self.data_dir,
            tables=SharedTables(self.url, lambda: self.is_there),
            clock_ms=lambda: self.now_ms,
        )

    def look(self) -> float:
        return run(self.sync.look())

    @property
    def current(self) -> bytes:
        return self.salts.current(self.now_ms)


@pytest.fixture
def make_node(tmp_path: Path, url: ClickHouseUrl) -> Callable[..., Node]:
    def make(name: str = "node", **options: Any) -> Node:
        options.setdefault("now_ms", midnight_ms() + NOON_MS - 1)
        return Node(tmp_path / name, url, **options)

    return make


def stored_days(url: ClickHouseUrl) -> list[int]:
    with connect(url) as client:
        rows = client.execute("SELECT DISTINCT toInt32(day) FROM salts ORDER BY 1")
    return [day for (day,) in rows]


def test_the_first_node_writes_todays_salt_and_reads_it_again_soon(
    make_node: Callable[..., Node], url: ClickHouseUrl
) -> None:
    node = make_node()

    assert node.look() == 2.0
    assert not node.sync.is_local
    assert node.look() == 30.0
    assert stored_days(url) == [node.now_ms // DAY_MS]


def test_two_nodes_have_the_same_salts_of_yesterday_today_and_tomorrow(
    make_node: Callable[..., Node],
) -> None:
    nodes = [make_node("a"), make_node("b")]
    for hours in range(0, 37, 3):
        for node in nodes:
            node.now_ms = midnight_ms() + hours * 3_600_000
            node.look()

    first, second = (node.salts for node in nodes)
    now_ms = nodes[0].now_ms
    assert first.current(now_ms) == second.current(now_ms)
    assert first.previous(now_ms) == second.previous(now_ms) is not None
    assert first.current(now_ms + DAY_MS) == second.current(now_ms + DAY_MS)
    assert first.is_shared(now_ms + DAY_MS)


def test_nodes_that_start_at_the_same_time_agree(
    make_node: Callable[..., Node],
) -> None:
    nodes = [make_node(name) for name in "abcde"]

    async def look_together() -> None:
        await asyncio.gather(*(node.sync.look() for node in nodes))

    run(look_together())
    for node in nodes:
        node.now_ms += 2000
        node.look()

    assert len({node.current for node in nodes}) == 1


def test_tomorrows_salt_is_in_the_table_after_noon(
    make_node: Callable[..., Node], url: ClickHouseUrl
) -> None:
    node = make_node()
    node.look()

    node.now_ms = midnight_ms() + NOON_MS
    assert node.look() == 2.0

    today = node.now_ms // DAY_MS
    assert stored_days(url) == [today, today + 1]


def test_a_node_without_clickhouse_makes_a_salt_and_drops_it_for_the_shared_one(
    make_node: Callable[..., Node],
) -> None:
    lonely, other = make_node("a", is_there=False), make_node("b")
    assert lonely.look() == 2.0
    was_local, local_salt = lonely.sync.is_local, lonely.current
    other.look()

    lonely.is_there = True
    lonely.look()

    assert (was_local, lonely.sync.is_local) == (True, False)
    assert lonely.current == other.current != local_salt


def test_a_local_salt_outlives_a_restart(make_node: Callable[..., Node]) -> None:
    node = make_node(is_there=False)
    node.look()

    assert make_node(is_there=False).current == node.current


def test_a_node_starts_with_the_shared_salts_while_clickhouse_is_away(
    make_node: Callable[..., Node], tmp_path: Path
) -> None:
    node = make_node()
    node.look()

    again = Node(tmp_path / "node", NOWHERE, node.now_ms)
    again.look()

    assert again.current == node.current
    assert not again.sync.is_local


def test_nothing_is_left_of_a_salt_48_hours_after_its_day_began(
    make_node: Callable[..., Node], url: ClickHouseUrl
) -> None:
    """Not in memory, not on this disk, not in the table."""
    node = make_node()
    yesterday = midnight_ms() // DAY_MS - 1
    with connect(url) as client:  # the drop has to do it, not the second net
        client.execute("SYSTEM STOP TTL MERGES salts")
    seen = {}
    for day in (yesterday - 1, yesterday, yesterday + 1):
        node.now_ms = day * DAY_MS
        node.look()
        seen[day] = node.current

    text = (node.data_dir / FILE_NAME).read_bytes()
    kept = {each.day for each in read_salts(node.data_dir)}
    assert kept == {yesterday, yesterday + 1}
    assert {each.day for each in node.salts.known} == kept
    assert stored_days(url) == sorted(kept)
    assert seen[yesterday - 1] not in text
    assert [path.name for path in node.data_dir.iterdir()] == [FILE_NAME]


def test_a_node_that_was_stopped_for_long_drops_old_salts_first(
    make_node: Callable[..., Node],
) -> None:
    make_node(now_ms=midnight_ms() - 5 * DAY_MS, is_there=False).look()
    again = make_node(is_there=False)

    again.look()

    today = again.now_ms // DAY_MS
    assert [each.day for each in read_salts(again.data_dir)] == [today]


def test_a_table_that_is_refused_is_told_once(
    make_node: Callable[..., Node], url: ClickHouseUrl
) -> None:
    node = make_node()
    with connect(url) as client, capture_logs() as logs:
        client.execute("RENAME TABLE salts TO hidden")
        node.look()
        assert node.look() == 2.0
        client.execute("RENAME TABLE hidden TO salts")
        node.look()

    assert not node.sync.is_local
    told = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert told == ["salts not shared"]


def test_a_disk_that_refuses_is_told_and_does_no_harm(
    make_node: Callable[..., Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(module, "write_salts", refuse)
    node = make_node()

    with capture_logs() as logs:
        node.look()
        node.look()

    assert not node.sync.is_local
    assert [line["event"] for line in logs] == ["salts not saved"]


def test_looks_go_on_after_one_that_failed(
    make_node: Callable[..., Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = make_node()
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.01)
    failures = iter([RuntimeError("once")])
    look = node.sync.look

    async def fail_once() -> float:
        for failure in failures:
            raise failure
        return await look()

    monkeypatch.setattr(node.sync, "look", fail_once)

    async def check() -> None:
        keeping = asyncio.create_task(node.sync.keep())
        while node.sync.is_local:  # noqa: ASYNC110 - nobody would set an event
            await asyncio.sleep(0.01)
        keeping.cancel()

    with capture_logs() as logs:
        run(check())

    assert "look at salts failed" in [line["event"] for line in logs]
