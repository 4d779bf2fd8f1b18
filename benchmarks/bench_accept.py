"""What the service takes over HTTP, beside a bare application that only decodes.

    python -m benchmarks.bench_accept [--runs N] [--seconds S]

Each row is a service of its own, with a journal that syncs to disk, and without a
ClickHouse: nothing competes for the machine but the load. Service and floor take turns.
*CPU* is that of the HTTP process; *of floor* is requests per second of the service by
those of the floor.
"""

import argparse
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.load.report import print_table
from benchmarks.load.requests import web_requests, write_native_requests, write_requests
from benchmarks.load.target import Target, run_floor, run_service
from benchmarks.load.wrk import Feed, run_wrk

CONNECTIONS: Final = 32
AWAY: Final = "clickhouse://nobody:none@127.0.0.1:1/nowhere"
ROOM: Final = str(8 * 1024**3)
NATIVE: Final = (
    *((1, "JSON, gzip"), (50, "JSON, gzip"), (500, "JSON, gzip")),
    *((50, "JSON"), (50, "JSON, zstd"), (50, "MessagePack")),
)
"""Batch size and encoding of each row."""
EVENTS_PER_S: Final = 250_000
REQUESTS_PER_S: Final = 20_000
"""More than the service takes: no event may be sent to it twice."""
WEB_REQUESTS: Final = 200_000
WARM_S: Final = 1.0

Figures = dict[str, list[float]]
Run = Callable[[], AbstractContextManager[Target]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.5)
    arguments = parser.parse_args()
    rows: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "requests"
        for events, encoding in NATIVE:
            name = f"{events} × {encoding}"  # noqa: RUF001
            rows[name] = {}
            count = count_batches(events, arguments.seconds)
            write_native_requests(file, count, events, encoding=encoding)
            for _ in range(arguments.runs):
                measure(rows[name], file, "batch", events, arguments.seconds)
        print_table("native batches", rows)
        write_requests(file, web_requests(WEB_REQUESTS))
        web: Figures = {}
        for _ in range(arguments.runs):
            measure(web, file, "web", 1, arguments.seconds)
        print_table("web events", {"/api/event": web})


def count_batches(events: int, seconds: float) -> int:
    """Returns how many batches a service cannot take in the time."""
    rate = min(EVENTS_PER_S / events, REQUESTS_PER_S)
    return int(rate * (seconds + WARM_S)) + 1


def measure(
    figures: Figures, file: Path, floor: str, events: int, seconds: float
) -> None:
    """Adds the figures of one turn."""
    service = partial(run_service, clickhouse_url=AWAY, journal_max_bytes=ROOM)
    own, own_cpu = load(figures, service, file, events, seconds)
    bare, _ = load(None, partial(run_floor, floor), file, events, seconds)
    add = figures.setdefault
    add("CPU µs/event", []).append(own_cpu)
    add("of floor", []).append(own / bare)


def load(
    figures: Figures | None, run: Run, file: Path, events: int, seconds: float
) -> tuple[float, float]:
    """Returns requests per second, and µs of CPU per event."""
    feed = Feed(file)
    with run() as target:
        run_wrk(target.port, feed, connections=CONNECTIONS, seconds=WARM_S)
        before = target.cpu_s()["http"]
        found = run_wrk(target.port, feed, connections=CONNECTIONS, seconds=seconds)
        spent = target.cpu_s()["http"] - before
        if figures is not None:
            check(target)
    if figures is not None:
        add = figures.setdefault
        add("requests/s", []).append(found.rate)
        add("events/s", []).append(found.rate * events)
        add("p50 ms", []).append(found.p50_us / 1000)
        add("p99 ms", []).append(found.p99_us / 1000)
        add("p99.9 ms", []).append(found.p999_us / 1000)
    return found.rate, spent / found.requests / events * 1e6


def check(target: Target) -> None:
    """Raises if the requests were not what they should be."""
    counts = target.metrics()
    if counts.get(("headwater_events_total", "duplicate,")):
        raise RuntimeError("events were sent twice: make more requests")


if __name__ == "__main__":
    main()
