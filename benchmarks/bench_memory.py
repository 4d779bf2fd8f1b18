"""Whether the memory of a service stays flat under a steady load.

    python -m benchmarks.bench_memory [--minutes M] [--warm-up M]

Native batches of 50 and web events come at a fixed rate, are written to an embedded
ClickHouse, and the resident memory of every process is read some four times a second,
at random: blocks come once a second, and looks in step with them would see one part of
their way only. The duplicate window is set to hold 200,000 ids, so that it is full
before the measurement begins; with its default it grows by 26 to 41 bytes an id up to
20 million. ClickHouse takes three to four minutes until its merges are of all sizes:
the short form is no more than a trial.
"""

import argparse
import random
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, median
from typing import Final

from benchmarks.load.report import print_table
from benchmarks.load.requests import web_requests, write_native_requests, write_requests
from benchmarks.load.target import Target, run_service
from benchmarks.load.wrk import Feed, run_wrk

CONNECTIONS: Final = 16
EVENTS: Final = 50
THINK_MS: Final = 100
MOST_PER_S: Final = CONNECTIONS * 1000 // THINK_MS
"""Requests per second of each kind, were they answered in no time."""
WINDOW_EVENTS: Final = 200_000
LOOK_S: Final = 0.5
"""Most time between two looks."""
MINUTE_S: Final = 60.0

Figures = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.25)
    parser.add_argument("--warm-up", type=float, default=0.5)
    arguments = parser.parse_args()
    seconds, warm_s = arguments.minutes * MINUTE_S, arguments.warm_up * MINUTE_S
    with tempfile.TemporaryDirectory() as directory:
        feeds = write_loads(Path(directory), seconds + warm_s)
        window = str(WINDOW_EVENTS)
        with run_service(clickhouse_url="embedded", window_events=window) as target:
            load(target, feeds, warm_s)
            seen = watch(target, feeds, seconds)
    for minutes in seen.values():
        minutes["medians, % of their mean"] = compare_minutes(minutes)
    print_table("resident MB", seen)


def write_loads(directory: Path, seconds: float) -> tuple[Feed, Feed]:
    """Writes more requests than can be sent, so that each is sent once."""
    count = round(MOST_PER_S * seconds)
    native, web = directory / "native", directory / "web"
    write_native_requests(native, count, EVENTS)
    write_requests(web, web_requests(count))
    return Feed(native), Feed(web)


def load(target: Target, feeds: tuple[Feed, Feed], seconds: float) -> None:
    """Sends both kinds at the fixed rate."""

    def send(feed: Feed) -> None:
        run_wrk(
            target.port,
            feed,
            connections=CONNECTIONS,
            seconds=seconds,
            think_ms=THINK_MS,
        )

    with ThreadPoolExecutor() as pool:
        list(pool.map(send, feeds))


def watch(
    target: Target, feeds: tuple[Feed, Feed], seconds: float
) -> dict[str, Figures]:
    """Returns the resident memory of each process in MB, minute by minute."""
    seen: dict[str, Figures] = {}
    sending = threading.Thread(target=load, args=(target, feeds, seconds))
    last = max(1, round(seconds / MINUTE_S))
    started = time.monotonic()
    sending.start()
    while sending.is_alive():
        minute = min(int((time.monotonic() - started) // MINUTE_S) + 1, last)
        for name, mb in target.rss_mb().items():
            seen.setdefault(name, {}).setdefault(f"minute {minute}", []).append(mb)
        time.sleep(random.uniform(0, LOOK_S))
    sending.join()
    return seen


def compare_minutes(minutes: Figures) -> list[float]:
    """Returns the median of each minute, in % of the mean of all of them.

    What holds a block or a merge for a moment, and lets it go again, is told from what
    grows by these.
    """
    medians = [median(looks) for looks in minutes.values()]
    return [100 * each / mean(medians) for each in medians]


if __name__ == "__main__":
    main()
