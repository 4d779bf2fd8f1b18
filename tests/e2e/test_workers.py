"""`--workers 2`: several processes that take events, and one truth about them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from tests.e2e.support.load import Load, capture_numbered, settle
from tests.e2e.support.processes import Processes, is_alive
from tests.e2e.support.service import KEY, SITE, Service
from tests.e2e.support.waiting import wait_for
from tests.redis_server import run_redis

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeClient, MakeService
    from tests.e2e.support.clickhouse import ClickHouse, Database
    from tests.e2e.support.ledger import Ledger

TOKEN = "an-admin-token-of-the-test"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
LIMITED = "limited.example"
LIMITED_KEY = "hw_e2e_limited_0123456789"
LIMIT = 30

_SITES = f"""
[[site]]
domain = "{SITE}"
write_key = "{KEY}"

[[site]]
domain = "{LIMITED}"
write_key = "{LIMITED_KEY}"
rate_limit = {LIMIT}
rate_window_seconds = 86400
"""


@pytest.fixture(scope="module")
def _standing(
    clickhouse: ClickHouse, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("workers")
    database = clickhouse.make_database()
    settings = {"workers": "2", "admin_token": TOKEN}
    service = Service(
        Processes(directory), directory / "data", database.url, settings, sites=_SITES
    )
    try:
        service.start()
        yield service
    finally:
        service.processes.kill_all()
        database.drop()


@pytest.fixture
def pair(make_service: MakeService) -> Service:
    """A service with two workers, to be harmed."""
    service = make_service(workers="2")
    service.start()
    return service


@contextmanager
def by_both(service: Service) -> Iterator[None]:
    """Asserts that each worker has handled events meanwhile.

    Connections are dealt out in turn, and each request here has one of its own.
    """
    before = events_by_worker(service)
    yield
    after = events_by_worker(service)
    assert all(after[number] > before[number] for number in range(2)), (before, after)


def _merge_metrics(files: list[str]) -> list[Metric]:
    merged = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
    return list(merged)


def events_by_worker(service: Service) -> list[float]:
    files = [
        service.data_dir / "worker-metrics" / f"counter_{number}.db"
        for number in range(2)
    ]
    return [
        sum(
            sample.value
            for metric in _merge_metrics([str(file)])
            for sample in metric.samples
            if sample.name == "headwater_events_total"
        )
        for file in files
    ]


def post_batch(service: Service, batch: object, *, key: str = KEY) -> dict[str, Any]:
    answer = service.post(batch, headers={"X-Headwater-Key": key})
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def make_batch(count: int, **fields: object) -> dict[str, object]:
    events = [
        {"event": "clicked", "distinct_id": "u", "event_id": str(uuid4())}
        for _ in range(count)
    ]
    return {"batch_id": str(uuid4()), "events": events, **fields}


def view(service: Service, path: str, *, name: str = "pageview") -> httpx.Response:
    return service.post(
        {"n": name, "u": f"https://{SITE}{path}", "d": SITE, "sd": 1, "e": 1},
        path="/api/event",
        headers={
            "content-type": "text/plain",
            "user-agent": AGENT,
            "x-forwarded-for": "81.2.69.142",
        },
    )


def test_a_batch_that_comes_again_to_another_worker_is_a_duplicate(
    standing_service: Service, emptied_database: Database
) -> None:
    batch = make_batch(3, client_losses={"queue_full": 2})
    with by_both(standing_service):
        told = [post_batch(standing_service, batch) for _ in range(4)]

    assert [each["accepted"] for each in told] == [3, 0, 0, 0]
    assert [each["duplicates"] for each in told] == [0, 3, 3, 3]
    emptied_database.wait_for_rows(3)
    standing_service.wait_until_written()
    assert len(emptied_database.stored_ids()) == 3
    lost = standing_service.metric("headwater_client_losses_total", reason="queue_full")
    assert lost == 2


def test_a_known_batch_id_with_other_events_is_judged_event_by_event(
    standing_service: Service,
) -> None:
    first = make_batch(2)
    bad = {"event": "", "distinct_id": "u", "event_id": str(uuid4())}
    other = {**make_batch(1), "batch_id": first["batch_id"]}
    other["events"] = [*other["events"], *first["events"], bad]  # type: ignore[misc]
    with by_both(standing_service):
        post_batch(standing_service, first)
        told = post_batch(standing_service, other)
    with by_both(standing_service):
        repeats = [post_batch(standing_service, other) for _ in range(2)]

    assert (told["accepted"], told["duplicates"], told["invalid"]) == (1, 2, 1)
    for again in repeats:
        counts = again["accepted"], again["duplicates"], again["invalid"]
        assert counts == (0, 3, 1)
        assert again["results"] == told["results"]


def test_a_visitor_has_one_session_on_all_workers(
    standing_service: Service, emptied_database: Database
) -> None:
    with by_both(standing_service):
        for path in ("/a?utm_source=news", "/b?utm_source=other"):
            assert view(standing_service, path).text == "ok"
    with by_both(standing_service):
        for path in ("/b", "/b"):
            assert view(standing_service, path, name="engagement").text == "ok"

    emptied_database.wait_for_rows(4)
    found = emptied_database.query("SELECT DISTINCT session_id, utm_source FROM events")
    assert [source for _, source in found] == ["news"]
    assert standing_service.metric("headwater_sessions_open") == 1


def test_a_rate_limit_is_exact_over_all_workers(standing_service: Service) -> None:
    def post(_number: int) -> int:
        batch = make_batch(1)
        headers = {"X-Headwater-Key": LIMITED_KEY}
        return standing_service.post(batch, headers=headers).status_code

    first = make_batch(1)
    post_batch(standing_service, first, key=LIMITED_KEY)
    with by_both(standing_service), ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(post, range(LIMIT + 20)))

    assert statuses.count(200) == LIMIT - 1
    assert statuses.count(429) == 21
    assert [post(0) for _ in range(2)] == [429, 429]
    # What is known uses up no place, and is told from an empty window.
    with by_both(standing_service):
        for _ in range(2):
            again = post_batch(standing_service, first, key=LIMITED_KEY)
            assert again["duplicates"] == 1


def test_what_is_not_for_events_is_answered_by_the_service(
    standing_service: Service,
) -> None:
    url = standing_service.url
    token = {"authorization": f"Bearer {TOKEN}"}
    for _worker in range(2):
        assert httpx.get(f"{url}/healthz").json() == {"status": "alive"}
        assert httpx.get(f"{url}/nowhere").status_code == 404
        wrong = httpx.get(f"{url}/ingest-events")
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
        preflight = httpx.options(
            f"{url}/api/event", headers={"access-control-request-method": "POST"}
        )
        assert preflight.status_code == 204
        sites = httpx.get(f"{url}/admin/sites", headers=token).json()["data"]
        assert [each["domain"] for each in sites] == [SITE, LIMITED]
        assert httpx.get(f"{url}/admin/sites").status_code == 401


def test_metrics_are_sums_over_all_workers(standing_service: Service) -> None:
    before = standing_service.accepted
    count = "headwater_request_duration_seconds_count"
    requests = standing_service.metric(count)
    with by_both(standing_service):
        post_batch(standing_service, make_batch(1))
        post_batch(standing_service, make_batch(2))

    assert standing_service.metric("headwater_workers_up") == 2
    assert standing_service.accepted == before + 3
    assert standing_service.metric(count) == requests + 2


def test_a_new_site_is_known_to_all_workers(standing_service: Service) -> None:
    added = httpx.post(
        f"{standing_service.url}/admin/sites",
        json={"domain": "new.example"},
        headers={"authorization": f"Bearer {TOKEN}"},
        timeout=30,
    )
    headers = {"X-Headwater-Key": added.json()["data"]["write_key"]}

    def is_known() -> bool:
        """Asks both workers."""
        answers = [
            standing_service.post(make_batch(1), headers=headers) for _ in range(2)
        ]
        return all(each.status_code == 200 for each in answers)

    wait_for(is_known, what="the new site", timeout_s=10)
    httpx.delete(
        f"{standing_service.url}/admin/sites/new.example",
        headers={"authorization": f"Bearer {TOKEN}"},
        timeout=30,
    )


def test_workers_that_redis_leaves_share_the_sessions_of_the_service(
    make_service: MakeService, database: Database
) -> None:
    with run_redis() as redis:
        service = make_service(workers="2", redis_url=redis.url)
        service.start()
        with by_both(service):
            for path in ("/a", "/b"):
                assert view(service, path).text == "ok"
        redis.kill()
        with by_both(service):
            for path in ("/c", "/d"):
                assert view(service, path).text == "ok"
        wait_for(
            lambda: (
                service.metric("headwater_sessions_local_events_total") == 2
                and service.readiness()["degraded"] == ["local_sessions"]
            ),
            what="both workers to tell of their sessions",
        )
        database.wait_for_rows(4)
    found = database.query(
        "SELECT uniqExact(session_id) FROM events GROUP BY pathname IN ('/a', '/b')"
    )
    assert found == [(1,), (1,)]


def test_killed_workers_lose_and_double_nothing(
    pair: Service, database: Database, make_client: MakeClient, ledger: Ledger
) -> None:
    client = make_client(pair.url, flush_interval=0.02, max_batch_events=20)
    database.keep_copies()
    with Load(client, ledger) as load:
        for _ in range(2):
            load.wait_for_acknowledged(100)
            pids = pair.worker_pids()
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            wait_for(
                lambda pids=pids: (  # type: ignore[misc]
                    len(pair.worker_pids()) == 2
                    and not set(pids) & set(pair.worker_pids())
                ),
                what="new workers",
            )
        load.wait_for_acknowledged(100)

    settle(client, ledger, database)
    wait_for(
        lambda: pair.metric("headwater_workers_up") == 2, what="both workers to be up"
    )
    assert pair.metric("headwater_worker_restarts_total") == 4
    assert pair.readiness()["blocked"] == []


def test_two_thousand_events_and_a_stop_in_good_order(
    pair: Service, database: Database, make_client: MakeClient, ledger: Ledger
) -> None:
    database.keep_copies()
    client = make_client(pair.url, max_batch_events=50, max_queue_size=2000)
    capture_numbered(client, ledger, count=2000)
    assert client.flush(timeout=40).queued == 0
    workers = pair.worker_pids()
    # As a Ctrl-C in a terminal does it: to all processes at once.
    os.killpg(pair.running.pid, signal.SIGINT)

    assert pair.running.wait() == 0
    assert not any(map(is_alive, workers))
    assert '"rows_left":0' in pair.running.log
    assert "worker died" not in pair.running.log
    ledger.check_all_stored(database.stored_ids())


def test_workers_end_with_a_service_that_is_killed(
    pair: Service, database: Database, make_client: MakeClient, ledger: Ledger
) -> None:
    database.keep_copies()
    client = make_client(pair.url, flush_interval=0.02, max_batch_events=20)
    with Load(client, ledger) as load:
        load.wait_for_acknowledged(100)
        workers = pair.worker_pids()
        pair.kill()
        started = time.monotonic()
        wait_for(lambda: not any(map(is_alive, workers)), what="the workers' end")
        assert time.monotonic() - started < 8
        pair.start()
        load.wait_for_acknowledged(100)

    settle(client, ledger, database)
