"""Several nodes and one Redis: one session for one visitor, also through an outage."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.e2e.support.service import SITE, Service
from tests.e2e.support.waiting import wait_for
from tests.redis_server import RedisServer, run_redis

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import MakeService
    from tests.e2e.support.clickhouse import Database

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with run_redis() as server:
        yield server


@pytest.fixture
def nodes(
    make_service: MakeService, redis: RedisServer, tmp_path: Path
) -> tuple[Service, Service]:
    """Two nodes on one ClickHouse and one Redis, which have the same salt."""
    one = make_service(redis_url=redis.url)
    other = replace(one, data_dir=tmp_path / "data of the other")
    one.start()
    other.start()
    for node in (one, other):
        wait_for(
            lambda node=node: node.readiness()["degraded"] == [],  # type: ignore[misc]
            what="a node with nothing wrong",
        )
    return one, other


def send(node: Service, path: str, *, visitor: int = 1, name: str = "pageview") -> None:
    answer = node.post(
        {"n": name, "u": f"https://{SITE}{path}", "d": SITE, "sd": 1, "e": 1},
        path="/api/event",
        headers={
            "content-type": "text/plain",
            "user-agent": AGENT,
            "x-forwarded-for": f"81.2.69.{visitor}",
        },
    )
    assert (answer.status_code, answer.text) == (202, "ok")
    assert "x-plausible-dropped" not in answer.headers


def sessions_of(database: Database, where: str = "1") -> list[int]:
    return database.column(f"SELECT DISTINCT session_id FROM events WHERE {where}")


def test_a_visitor_has_one_session_on_two_nodes(
    nodes: tuple[Service, Service], database: Database
) -> None:
    one, other = nodes
    send(one, "/a?utm_source=news")
    send(other, "/b?utm_source=other")
    send(one, "/b", name="engagement")

    database.wait_for_rows(3)
    assert len(sessions_of(database)) == 1
    assert database.column("SELECT DISTINCT utm_source FROM events") == ["news"]
    told = "SELECT entry_page, exit_page, pageviews, is_bounce FROM sessions"
    # The view has a row a moment after the table of events.
    wait_for(
        lambda: database.query(told) == [("/a", "/b", 2, 0)], what="the whole session"
    )


def test_events_that_reach_two_nodes_at_once_share_a_session(
    nodes: tuple[Service, Service], database: Database
) -> None:
    with ThreadPoolExecutor(8) as pool:
        sent = [
            pool.submit(send, nodes[number % 2], f"/{number}", visitor=number // 4)
            for number in range(40)
        ]
        for each in sent:
            each.result()

    database.wait_for_rows(40)
    assert len(sessions_of(database)) == 10
    assert database.query(
        "SELECT uniqExact(session_id), uniqExact(user_id) FROM events"
    ) == [(10, 10)]


def test_an_outage_of_redis_loses_no_event(
    nodes: tuple[Service, Service], database: Database, redis: RedisServer
) -> None:
    one, other = nodes
    send(one, "/before")
    redis.kill()
    for number in range(10):
        send(one, f"/during/{number}")
        send(other, f"/during/{number}")
    for node in nodes:
        readiness = node.readiness()
        assert (readiness["status"], readiness["degraded"]) == (
            "degraded",
            ["local_sessions"],
        )
        assert readiness["checks"]["sessions"] == "local_sessions"
        assert node.metric("headwater_sessions_local_events_total") == 10

    redis.start()
    for node in nodes:
        wait_for(
            lambda node=node: node.readiness()["status"] == "ready",  # type: ignore[misc]
            what="the node to be back at Redis",
        )
    send(one, "/after")
    send(other, "/after")

    database.wait_for_rows(23)
    assert len(sessions_of(database, "pathname LIKE '/during/%'")) == 2
    assert len(sessions_of(database, "pathname = '/after'")) == 1
    log = one.running.log  # both nodes print to it
    assert log.count("Redis does not answer") == 2
    assert log.count("Redis answers again") == 2
    assert [node.stop() for node in nodes] == [0, 0]


def test_a_redis_that_hangs_does_not_hold_up_a_node(
    make_service: MakeService, database: Database, redis: RedisServer
) -> None:
    node = make_service(redis_url=redis.url)
    node.start()
    send(node, "/before")
    with redis.hung(), ThreadPoolExecutor(8) as pool:
        sent = [
            pool.submit(send, node, f"/{number}", visitor=number) for number in range(8)
        ]
        assert node.ready_status() == 200
        for each in sent:
            each.result()

    wait_for(lambda: node.readiness()["status"] == "ready", what="Redis to be back")
    database.wait_for_rows(9)
