"""Whether the memory of a service stays flat under a steady load.

    python -m benchmarks.bench_memory [--minutes M]

Native batches of 50 and web events come at a fixed rate, are written to an embedded
ClickHouse, and the resident memory of every process is read once a second. The
duplicate window is set to hold 200,000 ids, so that it is full before the measurement
begins; with its default it grows by 26 to 41 bytes an id up to 20 million.
"""

import argparse
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
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
WARM_S: Final = 30.0
LOOK_S: Final = 1.0
LOOKS: Final = 60
"""In a minute."""

Figures = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.25)
    arguments = parser.parse_args()
    seconds = arguments.minutes * 60
    with tempfile.TemporaryDirectory() as directory:
        feeds = write_loads(Path(directory), seconds + WARM_S)
        window = str(WINDOW_EVENTS)
        with run_service(clickhouse_url="embedded", window_events=window) as target:
            load(target, feeds, WARM_S)
            seen = watch(target, feeds, seconds)
    print_table("resident memory", {name: describe(mb) for name, mb in seen.items()})


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


def watch(target: Target, feeds: tuple[Feed, Feed], seconds: float) -> Figures:
    """Returns the resident memory of each process, in MB, second by second."""
    seen: Figures = {}
    sending = threading.Thread(target=load, args=(target, feeds, seconds))
    sending.start()
    while sending.is_alive():
        for name, size in target.rss_mb().items():
            seen.setdefault(name, []).append(size)
        time.sleep(LOOK_S)
    sending.join()
    return seen


def describe(mb: list[float]) -> Figures:
    """Returns where it began and ended, and how far it was from its mean.

    What holds a block or a merge for a moment, and lets it go again, is told from what
    grows by the medians of the minutes.
    """
    mean = sum(mb) / len(mb)
    minutes = [median(mb[at : at + LOOKS]) for at in range(0, len(mb), LOOKS)]
    return {
        "MB at first": mb[:1],
        "at last": mb[-1:],
        "least, % of mean": [100 * min(mb) / mean],
        "most, % of mean": [100 * max(mb) / mean],
        "minutes, % of mean": [100 * each / mean for each in minutes],
    }


if __name__ == "__main__":
    main()
