"""The signals of Celery, with a worker as it is."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import celery
import pytest
from celery import signals
from celery.contrib.testing.worker import start_worker

import headwater
from headwater.integrations.celery import connect
from headwater.testing import FakeServer, RecordedEvents

DEADLINE_S = 60


USED = [
    signals.before_task_publish,
    signals.task_prerun,
    signals.task_failure,
    signals.task_postrun,
    signals.worker_process_shutdown,
]

app = celery.Celery("shop", broker="memory://", backend="cache+memory://")


@app.task(name="shop.pay")  # type: ignore[untyped-decorator] # Celery has no types
def pay(amount: int) -> int:
    headwater.capture("paid", {"amount": amount})
    return amount


@app.task(name="shop.fail")  # type: ignore[untyped-decorator] # as above
def fail() -> None:
    raise LookupError("no such cart")


@pytest.fixture
def worker() -> Iterator[None]:
    """A worker, and the signals as they were before when it is over."""

    def leave_logging_alone(**_: object) -> None:
        """Whoever listens to this signal does what Celery would do to the root."""

    signals.setup_logging.connect(leave_logging_alone)
    before = [list(each.receivers or []) for each in USED]
    with start_worker(app, perform_ping_check=False, pool="solo"):
        yield
    for each, receivers in zip(USED, before, strict=True):
        each.receivers = receivers
        each.sender_receivers_cache.clear()


def wait_for(is_true: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_event_in_a_task_says_which_and_for_whom(
    events: RecordedEvents, worker: None
) -> None:
    connect()
    with headwater.context(
        distinct_id=17, groups={"company": "acme"}, **{"$request_id": "r-1", "more": 1}
    ):
        result = pay.delay(5)
    assert result.get(timeout=20) == 5
    event = events.assert_captured("paid", distinct_id="17")
    assert event.groups == {"company": "acme"}
    assert event.properties == {
        "amount": 5,
        "$task": "shop.pay",
        "$task_id": result.id,
        "$request_id": "r-1",
    }


def test_failure_is_captured_if_asked_for(events: RecordedEvents, worker: None) -> None:
    connect(exceptions=True)
    result = fail.delay()
    with pytest.raises(LookupError):
        result.get(timeout=20)
    wait_for(lambda: events.names)
    event = events.assert_captured("$exception", {"$task": "shop.fail"}, times=1)
    assert event.properties["$exception_type"] == "LookupError"


WORKER = """
import celery, pathlib
import headwater
from headwater.integrations.celery import connect

app = celery.Celery("shop", broker="filesystem://", broker_transport_options={{
    "data_folder_in": {folder!r}, "data_folder_out": {folder!r},
    "control_folder": {folder!r}}})
headwater.init("key", {url!r}, flush_interval=3600, exit_timeout=30)
headwater.capture("parent", "loaded")
connect()

@app.task(name="shop.pay")
def pay(number):
    headwater.capture("user-1", "paid", {{"number": number}})
    pathlib.Path({folder!r}, f"{{number}}.paid").touch()

if __name__ == "__main__":
    for number in range(6):
        pay.delay(number)
    app.Worker(pool="prefork", concurrency=2, without_gossip=True,
               without_mingle=True, without_heartbeat=True, quiet=True).start()
"""


def test_pool_of_forked_processes_delivers_when_it_ends(tmp_path: Path) -> None:
    with FakeServer() as server:
        script = tmp_path / "shop.py"
        script.write_text(WORKER.format(folder=str(tmp_path), url=server.url))
        worker = subprocess.Popen([sys.executable, script], stderr=subprocess.PIPE)
        try:
            wait_for(lambda: len(list(tmp_path.glob("*.paid"))) == 6 or worker.poll())
        finally:
            worker.send_signal(signal.SIGTERM)
            _, said = worker.communicate(timeout=DEADLINE_S)
        events = server.events
    numbers = sorted(e.properties["number"] for e in events if e.event == "paid")
    assert numbers == [0, 1, 2, 3, 4, 5], said.decode()
    assert [e.distinct_id for e in events].count("parent") == 1
