"""What the whole product keeps up: accepted is written, with fsync, writer and views.

    python -m benchmarks.bench_sustained [--seconds S] [--runs N] [--connections N]

Service, writer, an embedded ClickHouse and the load share the machine. The load holds
back while more than 100,000 rows wait for ClickHouse, so what is accepted is what can
be written. The floor is the sink of the writer alone, clickhouse-driver with our
encoders: it inserts the same rows as ready columns into the same tables. *Half load* is
a second run at half the rate, once ClickHouse has had nothing to merge for two seconds;
ack is the time to the answer.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final

from benchmarks.load.driver import insert_ready_columns
from benchmarks.load.quiet import wait_for_merges
from benchmarks.load.report import print_table
from benchmarks.load.requests import web_requests, write_native_requests, write_requests
from benchmarks.load.target import Target, run_floor, run_service
from benchmarks.load.wrk import Feed, Load, run_wrk

EVENTS: Final = 50
WARM_S: Final = 5.0
MOST_WAITING_ROWS: Final = 100_000
LOOK_S: Final = 0.2
DRAIN_S: Final = 120.0
EVENTS_PER_S: Final = 100_000
"""More than the product takes: no event may be sent twice."""
WEB_REQUESTS: Final = 200_000
PROCESSES: Final = ("http", "writer", "clickhouse")

Figures = dict[str, list[float]]
LAG: Final = "headwater_event_loop_lag_seconds_bucket"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--connections", type=int, default=32)
    arguments = parser.parse_args()
    seconds: float = arguments.seconds
    connections: int = arguments.connections
    rows: dict[str, Figures] = {"native": {}, "native, in sessions": {}, "web": {}}
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "requests"
        for _ in range(arguments.runs):
            for name, with_sessions in (
                ("native", False),
                ("native, in sessions", True),
            ):
                count = int(EVENTS_PER_S / EVENTS * (1.5 * seconds + WARM_S))
                write_native_requests(file, count, EVENTS, with_sessions=with_sessions)
                rate = measure(rows[name], file, EVENTS, connections, seconds)
                floor = insert_ready_columns(seconds, with_sessions=with_sessions)
                rows[name].setdefault("of floor", []).append(rate / floor)
            write_requests(file, web_requests(WEB_REQUESTS))
            rate = measure(rows["web"], file, 1, connections, seconds)
            floor = measure_web_floor(file, connections, seconds)
            rows["web"].setdefault("of floor", []).append(rate / floor)
    print_table("sustained", rows)


def measure(
    figures: Figures, file: Path, events: int, connections: int, seconds: float
) -> float:
    """Adds the figures of one run, and returns events per second."""
    add, feed = figures.setdefault, Feed(file)
    with run_service(clickhouse_url="embedded") as target:
        send = partial(run_wrk, target.port, feed, connections=connections)
        with governed(target) as governor:
            send(seconds=WARM_S, governor=governor)
            rate = measure_full_load(
                add, target, partial(send, seconds=seconds, governor=governor), events
            )
        add("drained in s", []).append(drain(target))
        wait_for_merges(target.merges)
        pause_ms = round(2 * connections * events / rate * 1000)
        lag = lag_histogram(target)
        half = send(seconds=seconds / 2, think_ms=pause_ms)
        add("half load: ack p50 ms", []).append(half.p50_us / 1000)
        add("ack p99 ms", []).append(half.p99_us / 1000)
        add("lag p99 ms at half", []).append(quantile_ms(lag, lag_histogram(target)))
        drain(target)
        check(target)
        for name, size in target.rss_mb().items():
            add(f"{name} MB", []).append(size)
    return rate


def measure_full_load(
    add: Callable[[str, list[float]], list[float]],
    target: Target,
    send: Callable[[], Load],
    events: int,
) -> float:
    """Adds the figures of a load without pauses, and returns events per second."""
    before, written_before = target.cpu_s(), rows_written(target)
    lag = lag_histogram(target)
    full = send()
    after, written = target.cpu_s(), rows_written(target) - written_before
    rate = full.rate * events
    add("accepted/s", []).append(rate)
    add("written/s", []).append(written / full.microseconds * 1e6)
    for name in PROCESSES:
        spent = after[name] - before[name]
        add(f"{name} µs", []).append(spent / full.requests / events * 1e6)
    add("lag p99 ms", []).append(quantile_ms(lag, lag_histogram(target)))
    return rate


def measure_web_floor(file: Path, connections: int, seconds: float) -> float:
    """Returns requests per second of an application that only decodes."""
    feed = Feed(file)
    with run_floor("web") as target:
        run_wrk(target.port, feed, connections=connections, seconds=WARM_S)
        return run_wrk(target.port, feed, connections=connections, seconds=seconds).rate


@contextmanager
def governed(target: Target) -> Iterator[Path]:
    """Makes a file whenever too many rows wait, and removes it when they do not."""
    with tempfile.TemporaryDirectory() as directory:
        governor, is_over = Path(directory) / "hold", threading.Event()

        def watch() -> None:
            while not is_over.wait(LOOK_S):
                if target.rows_waiting() > MOST_WAITING_ROWS:
                    governor.touch()
                else:
                    governor.unlink(missing_ok=True)

        with ThreadPoolExecutor() as pool:
            watching = pool.submit(watch)
            try:
                yield governor
            finally:
                is_over.set()
            watching.result()


def drain(target: Target) -> float:
    """Returns after how many seconds nothing waits any more."""
    started = time.monotonic()
    while target.metrics()["headwater_journal_pending_rows", ""]:
        if time.monotonic() - started > DRAIN_S:
            raise RuntimeError("the rows are not written")
        time.sleep(LOOK_S)
    return time.monotonic() - started


def check(target: Target) -> None:
    """Raises unless all that was accepted is written, and nothing was sent twice."""
    counts = target.metrics()
    accepted = counts["headwater_events_total", "accepted,"]
    if counts.get(("headwater_events_total", "duplicate,")):
        raise RuntimeError("events were sent twice: make more requests")
    if (written := rows_written(target)) != accepted:
        raise RuntimeError(f"{accepted} accepted, {written} written")


def rows_written(target: Target) -> float:
    return target.metrics()["headwater_writer_rows_total", ""]


def lag_histogram(target: Target) -> dict[float, float]:
    """Returns how often the loop was at most so late, by seconds."""
    return {
        float(label): value
        for (name, label), value in target.metrics().items()
        if name == LAG
    }


def quantile_ms(before: dict[float, float], after: dict[float, float]) -> float:
    """Returns the 99th percentile between two looks, interpolated in its bucket."""
    counts = {bound: after[bound] - before[bound] for bound in after}
    wanted = 0.99 * max(counts.values())
    for lower, upper in pairwise([0.0, *sorted(counts)]):
        below, upto = counts.get(lower, 0.0), counts[upper]
        if upto >= wanted:
            part = (wanted - below) / (upto - below)
            return (lower + part * (upper - lower)) * 1000
    raise RuntimeError("nothing was observed")


if __name__ == "__main__":
    main()
