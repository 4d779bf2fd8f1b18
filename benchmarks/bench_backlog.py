"""What a long outage of ClickHouse costs, and how fast the backlog drains after it.

The real service takes native batches of 200 events (UUIDv4 ids) while ClickHouse is
unreachable, until so many rows have piled up. Then ClickHouse is let in while a third
of the rate goes on coming. The normal speed of the writer is that of a second backlog
which drains with nothing else going on.

    python -m benchmarks.bench_backlog [--rows N] [--no-fsync]

`--no-fsync` only compares the rate at which batches are taken with and without the
sync of the journal, in turns, with the writer on.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from uuid import uuid4

import httpx
import msgspec
from tests.e2e.support.clickhouse import OwnClickHouse
from tests.e2e.support.processes import INGEST, Processes, find_children
from tests.e2e.support.relay import Relay
from tests.e2e.support.service import KEY, Service

EVENTS = 200
CLIENTS = 8

# The test-only hook: the service with a journal that leaves syncing to the system.
NO_FSYNC = """
import sys
from headwater_ingest import cli
from headwater_ingest.journal import database
inner = database._prepare
def prepare(connection, path, *, is_owner):
    inner(connection, path, is_owner=is_owner)
    connection.execute("PRAGMA synchronous = OFF")
database._prepare = prepare
sys.exit(cli.run(["serve"]))
"""


def make_body() -> bytes:
    events = [
        {
            "event_id": str(uuid4()),
            "event": "purchase",
            "distinct_id": f"user-{number}",
            "properties": {"plan": "premium", "value": 19.99, "items": 3, "beta": True},
            "groups": {"company": "acme"},
        }
        for number in range(EVENTS)
    ]
    return msgspec.json.encode({"batch_id": str(uuid4()), "events": events})


async def send(service: Service, *, until_rows: int, rate: float | None = None) -> int:
    """Sends until so many rows are sent, and returns how many were accepted."""
    sent = 0
    interval_s = None if rate is None else EVENTS * CLIENTS / rate

    async def run(client: httpx.AsyncClient) -> None:
        nonlocal sent
        while sent < until_rows:
            started = time.perf_counter()
            sent += EVENTS
            answer = await client.post(
                "/ingest-events",
                content=make_body(),
                headers={"X-Headwater-Key": KEY},
            )
            answer.raise_for_status()
            if interval_s is not None:
                left_s = interval_s - (time.perf_counter() - started)
                await asyncio.sleep(max(0.0, left_s))

    async with (
        httpx.AsyncClient(base_url=service.url, timeout=60) as client,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(CLIENTS):
            group.create_task(run(client))
    return sent


def fill(service: Service, rows: int) -> float:
    """Sends from a process of its own, and returns the rate."""
    started = time.perf_counter()
    asyncio.run(send(service, until_rows=rows))
    return rows / (time.perf_counter() - started)


def rss_mb(pid: int) -> float:
    """Returns what the service and its writer hold in memory, the greater of both."""
    pids = [pid, *find_children(pid, "headwater_ingest.writer")]
    pages = [int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in pids]
    return max(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def pending(service: Service) -> float:
    return service.metric("headwater_journal_pending_rows")


def written(service: Service) -> float:
    return service.metric("headwater_writer_rows_total")


def drain(service: Service) -> float:
    """Returns the rows written per second, until as many are as are pending now."""
    before, started = written(service), time.perf_counter()
    rows = pending(service)
    # What is pending is told a moment late: rows written before the first look may
    # stand in it, and are never among those written since.
    while written(service) - before < rows and pending(service):
        time.sleep(0.05)
    return (written(service) - before) / (time.perf_counter() - started)


@contextmanager
def running(*command: str) -> Iterator[tuple[Service, Relay]]:
    """Runs ClickHouse, something that can cut it off, and the service."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        processes = Processes(directory)
        database = OwnClickHouse(processes, directory / "ch").start().make_database()
        try:
            with Relay(database.address) as relay:
                service = Service(
                    processes,
                    directory / "data",
                    database.at(relay.port).url,
                    {"block_seconds": "1"},
                    command or (INGEST, "serve"),
                )
                service.start()
                yield service, relay
        finally:
            processes.kill_all()


def measure_backlog(rows: int) -> None:
    with running() as (service, relay):
        fill(service, 20_000)  # warm
        drain(service)
        relay.cut()
        before = rss_mb(service.running.pid)
        rate = fill(service, rows)
        piled = pending(service)
        print(f"taken while ClickHouse was away: {piled:.0f} rows at {rate:.0f}/s")
        after = rss_mb(service.running.pid)
        print(f"RSS of the service: {before:.0f} MB before, {after:.0f} MB after")
        relay.restore()
        pid = os.fork()
        if pid == 0:  # new events, meanwhile
            asyncio.run(send(service, until_rows=10**9, rate=rate / 3))
        wait_for_writer(service)
        loaded = drain(service)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        print(f"drained beside {rate / 3:.0f} new events/s at {loaded:.0f}/s")
        while pending(service):
            time.sleep(0.05)
        relay.cut()
        fill(service, rows // 2)
        relay.restore()
        wait_for_writer(service)
        normal = drain(service)
        print(f"drained alone at {normal:.0f}/s")
        print(f"ratio {loaded / normal:.2f}")


def wait_for_writer(service: Service) -> None:
    """Returns when the writer has begun again."""
    before = written(service)
    while written(service) == before:
        time.sleep(0.02)


def measure_fsync(rows: int) -> None:
    rates: dict[str, list[float]] = {"fsync": [], "no fsync": []}
    for _ in range(3):
        for name, command in (
            ("fsync", ()),
            ("no fsync", (sys.executable, "-c", NO_FSYNC)),
        ):
            with running(*command) as (service, _):
                fill(service, 20_000)
                rates[name].append(fill(service, rows))
    for name, values in rates.items():
        print(
            f"{name}: {median(values):.0f} events/s "
            f"({min(values):.0f}-{max(values):.0f})"
        )
    print(f"ratio {median(rates['fsync']) / median(rates['no fsync']):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--no-fsync", action="store_true")
    options = parser.parse_args()
    if options.no_fsync:
        measure_fsync(options.rows // 10)
    else:
        measure_backlog(options.rows)


if __name__ == "__main__":
    main()
