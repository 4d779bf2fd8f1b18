import asyncio
from dataclasses import replace

import httpx
import msgspec
import pytest
from starlette.applications import Starlette

from headwater_ingest.http.health import health_routes
from headwater_ingest.telemetry.metrics import Metrics
from headwater_ingest.telemetry.state import (
    Blocked,
    Degraded,
    JournalState,
    NodeState,
    Readiness,
    WebState,
    WorkersState,
    WriterState,
    judge_readiness,
)

HEALTHY = NodeState(
    draining=False,
    journal=JournalState(
        full=False,
        writable=True,
        rows_pending=0,
        bytes_pending=0,
        oldest_pending_seconds=0,
        window_events=0,
        window_seconds=0,
    ),
    writer=WriterState(up=True),
    sites=1,
    sites_loaded=True,
    sites_problem=None,
    clickhouse_up=True,
    clickhouse_restarts=0,
    schema_ready=True,
)


class Node:
    """A node whose state a test sets."""

    def __init__(self) -> None:
        self.state = HEALTHY
        metrics = Metrics("0")
        metrics.read_from(self.read)
        self._app = Starlette(routes=health_routes(self.read, metrics))

    def read(self) -> tuple[NodeState, Readiness]:
        return self.state, judge_readiness(self.state, degraded_after_seconds=60)

    def get(self, path: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport) as client:
                return await client.get(f"http://node{path}")

        return asyncio.run(ask())

    def readyz(self) -> tuple[int, dict[str, object]]:
        answer = self.get("/readyz")
        return answer.status_code, msgspec.json.decode(answer.content, type=dict)


@pytest.fixture
def node() -> Node:
    return Node()


def test_a_healthy_node_is_ready_in_every_check(node: Node) -> None:
    assert node.readyz() == (
        200,
        {
            "status": "ready",
            "blocked": [],
            "degraded": [],
            "checks": {
                "lifecycle": "ok",
                "journal": "ok",
                "sites": "ok",
                "clickhouse": "ok",
                "schema": "ok",
                "workers": "ok",
                "writer": "ok",
                "backlog": "ok",
                "salts": "ok",
                "sessions": "ok",
                "data_files": "ok",
            },
        },
    )


def test_a_node_without_clickhouse_stays_ready_and_says_degraded(node: Node) -> None:
    node.state = replace(HEALTHY, clickhouse_up=False)

    status, body = node.readyz()

    assert status == 200
    assert body["status"] == "degraded"
    assert body["degraded"] == [Degraded.CLICKHOUSE_AWAY]
    assert isinstance(body["checks"], dict)
    assert body["checks"]["clickhouse"] == "clickhouse_away"


def test_a_draining_node_is_not_ready(node: Node) -> None:
    node.state = replace(HEALTHY, draining=True, clickhouse_up=False)

    status, body = node.readyz()

    assert status == 503
    assert body["status"] == "not_ready"
    assert body["blocked"] == [Blocked.DRAINING]
    assert body["degraded"] == [Degraded.CLICKHOUSE_AWAY]


@pytest.mark.parametrize("reason", [*Blocked, *Degraded])
def test_every_reason_fails_one_check(reason: Blocked | Degraded, node: Node) -> None:
    journal = HEALTHY.journal
    states: dict[Blocked | Degraded, NodeState] = {
        Blocked.DRAINING: replace(HEALTHY, draining=True),
        Blocked.JOURNAL_FULL: replace(HEALTHY, journal=replace(journal, full=True)),
        Blocked.JOURNAL_UNWRITABLE: replace(
            HEALTHY, journal=replace(journal, writable=False)
        ),
        Blocked.NO_SITES: replace(HEALTHY, sites_loaded=False),
        Blocked.NO_WORKERS: replace(HEALTHY, workers=WorkersState(wanted=2)),
        Degraded.WORKER_DOWN: replace(HEALTHY, workers=WorkersState(wanted=2, up=1)),
        Degraded.CLICKHOUSE_AWAY: replace(HEALTHY, clickhouse_up=False),
        Degraded.SCHEMA_PENDING: replace(HEALTHY, schema_ready=False),
        Degraded.WRITER_DOWN: replace(HEALTHY, writer=WriterState()),
        Degraded.BLOCK_REJECTED: replace(
            HEALTHY, writer=WriterState(up=True, held_by="rejected")
        ),
        Degraded.WRITES_REFUSED: replace(
            HEALTHY, writer=WriterState(up=True, held_by="fatal")
        ),
        Degraded.BACKLOG_OLD: replace(
            HEALTHY, journal=replace(journal, oldest_pending_seconds=61)
        ),
        Degraded.SITES_FILE_BROKEN: replace(HEALTHY, sites_problem="broken"),
        Degraded.SITES_STALE: replace(HEALTHY, sites_stale=True),
        Degraded.LOCAL_SALT: replace(HEALTHY, salt_is_local=True),
        Degraded.LOCAL_SESSIONS: replace(HEALTHY, web=WebState(sessions_local=True)),
        Degraded.DATA_FILE_BROKEN: replace(
            HEALTHY, web=WebState(data_problems=("rates.json: is no JSON",))
        ),
    }
    node.state = states[reason]

    _, body = node.readyz()

    assert isinstance(body["checks"], dict)
    assert list(body["checks"].values()).count(reason) == 1


def test_a_node_is_alive_even_when_it_is_not_ready(node: Node) -> None:
    node.state = replace(HEALTHY, draining=True)

    answer = node.get("/healthz")

    assert (answer.status_code, answer.content) == (200, b'{"status":"alive"}')


def test_those_who_watched_plausible_are_told_in_its_words(node: Node) -> None:
    answer = node.get("/api/health")

    assert answer.status_code == 200
    assert answer.json() == {
        "postgres": "ok",
        "clickhouse": "ok",
        "sites_cache": "ok",
        "sessions": "ok",
    }
    assert (node.get("/api/error").status_code, node.get("/api/error").text) == (
        200,
        "",
    )


@pytest.mark.parametrize(
    "state,status,wrong",
    [
        (replace(HEALTHY, clickhouse_up=False), 200, {"clickhouse"}),
        (replace(HEALTHY, sites_loaded=False), 503, {"postgres", "sites_cache"}),
        (replace(HEALTHY, draining=True), 503, set()),
    ],
)
def test_plausibles_health_fails_as_readiness_does(
    state: NodeState, status: int, wrong: set[str], node: Node
) -> None:
    node.state = state

    answer = node.get("/api/health")

    assert answer.status_code == status
    assert {name for name, value in answer.json().items() if value != "ok"} == wrong


@pytest.mark.parametrize("path", ["/api/health", "/api/error"])
def test_pages_may_read_what_plausible_lets_them(path: str, node: Node) -> None:
    headers = node.get(path).headers
    assert headers["access-control-allow-origin"] == "*"
    assert headers["access-control-allow-credentials"] == "true"
    assert headers["access-control-expose-headers"] == ""


def test_metrics_are_in_the_text_form_of_prometheus(node: Node) -> None:
    answer = node.get("/metrics")

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "headwater_ready 1.0" in answer.text
