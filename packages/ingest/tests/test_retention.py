"""When expired events are deleted: once a day, and again if that did not work."""

import asyncio
import threading
from datetime import date

import pytest

from headwater_ingest import retention as retention_module
from headwater_ingest.clickhouse.retention import Expiry
from headwater_ingest.clickhouse.template import SINGLE
from headwater_ingest.clickhouse.url import ClickHouseUrl
from headwater_ingest.errors import ClickHouseUnreachableError
from headwater_ingest.retention import Retention
from headwater_ingest.shared_tables import SharedTables

URL = ClickHouseUrl("127.0.0.1", port=9000, user="u", password="p")
MONDAY, TUESDAY = date(2026, 9, 21), date(2026, 9, 22)


class Node:
    """A node whose days and whose ClickHouse are the test's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.today = MONDAY
        self.is_ready = True
        self.failures_left = 0
        self.done = threading.Event()
        self.days: list[date] = []
        monkeypatch.setattr(Retention, "_delete", self._delete)
        self.retention = Retention(
            SharedTables(URL, lambda: self.is_ready), SINGLE, today=lambda: self.today
        )

    def look(self) -> None:
        asyncio.run(self.retention.look())

    def _delete(self, today: date) -> Expiry:
        if self.failures_left:
            self.failures_left -= 1
            raise ClickHouseUnreachableError(URL.address, "away")
        self.days.append(today)
        self.done.set()
        return Expiry(parts=1)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    return Node(monkeypatch)


def test_it_is_done_once_a_day(node: Node) -> None:
    node.look()
    node.look()
    node.today = TUESDAY
    node.look()

    assert node.days == [MONDAY, TUESDAY]


def test_it_waits_for_the_tables(node: Node) -> None:
    node.is_ready = False
    node.look()
    node.is_ready = True
    node.look()

    assert node.days == [MONDAY]


def test_it_is_tried_again_when_it_failed(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.failures_left = 2
    monkeypatch.setattr(retention_module, "_LOOK_SECONDS", 0.001)

    async def run() -> None:
        task = asyncio.create_task(node.retention.keep())
        assert await asyncio.to_thread(node.done.wait, 10)
        task.cancel()

    asyncio.run(run())

    assert node.failures_left == 0
    assert node.days == [MONDAY]
