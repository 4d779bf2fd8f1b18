"""How fast the journal takes batches of 50 events, by how many wait at the same time.

Every append is acknowledged after the sync of its group commit. Run with
`python -m benchmarks.bench_journal [--runs N] [--seconds S] [--directory D]`; one row
per number of clients, each cell the median of the runs with the smallest and largest.
CPU is that of the whole process: clients, loop and commit thread.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import msgspec

from headwater_ingest.journal import Entry, Journal
from headwater_ingest.rows import Rows, encode_rows
from headwater_schema.batch import BatchResult

EVENTS = 50
CLIENTS = (1, 4, 16, 64)


@dataclass(frozen=True)
class Run:
    """What one run measured."""

    appends_per_s: float
    batches_per_commit: float
    cpu_us_per_event: float
    p50_ms: float
    p99_ms: float
    max_ms: float


def make_rows() -> bytes:
    constants = {"site_id": 7, "received_at": 1_795_301_554_875, "sdk": "python"}
    props = {"plan": "premium", "value": "19.99", "items": "3", "beta": "true"}
    columns: dict[str, list[object]] = {
        "name": ["purchase"] * EVENTS,
        "timestamp": [1_795_301_554_875 + index for index in range(EVENTS)],
        "user_id": [2**63 + index for index in range(EVENTS)],
        "distinct_id": [f"user-{index}" for index in range(EVENTS)],
        "props": [props] * EVENTS,
        "groups": [{"company": "acme"}] * EVENTS,
    }
    ids = [os.urandom(16) for _ in range(EVENTS)]
    return encode_rows(Rows(ids, constants, columns))


def make_entry(rows: bytes, answer: bytes) -> Entry:
    return Entry(
        site_id=7,
        batch_id=os.urandom(16),
        event_ids=os.urandom(16 * EVENTS),
        rows=rows,
        row_count=EVENTS,
        answer=answer,
        ids_digest=bytes(16),
    )


async def measure(directory: Path, clients: int, seconds: float) -> Run:
    commits = 0
    latencies: list[float] = []
    rows, answer = make_rows(), msgspec.json.encode(BatchResult(accepted=EVENTS))

    def count(_seconds: float, _entries: int) -> None:
        nonlocal commits
        commits += 1

    async def send(until: float) -> None:
        while (started := time.perf_counter()) < until:
            await journal.append(make_entry(rows, answer))
            latencies.append(time.perf_counter() - started)

    journal = Journal.open(directory, max_bytes=1 << 40, on_commit=count)
    cpu, started = time.process_time(), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(send(started + seconds))
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    journal.close()
    cuts = quantiles(latencies, n=100)
    return Run(
        appends_per_s=len(latencies) / elapsed,
        batches_per_commit=len(latencies) / commits,
        cpu_us_per_event=cpu / len(latencies) / EVENTS * 1e6,
        p50_ms=cuts[49] * 1e3,
        p99_ms=cuts[98] * 1e3,
        max_ms=max(latencies) * 1e3,
    )


def format_row(clients: int, runs: Sequence[Run]) -> str:
    def cell(read: Callable[[Run], float], digits: int) -> str:
        values = [read(run) for run in runs]
        low, high = min(values), max(values)
        return f"{median(values):.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"

    cells = (
        str(clients),
        cell(lambda run: run.batches_per_commit, 1),
        cell(lambda run: run.appends_per_s, 0),
        cell(lambda run: run.appends_per_s * EVENTS / 1000, 0),
        cell(lambda run: run.cpu_us_per_event, 2),
        cell(lambda run: run.p50_ms, 2),
        cell(lambda run: run.p99_ms, 2),
        cell(lambda run: run.max_ms, 1),
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--directory", type=Path, help="where the journals are made")
    options = parser.parse_args()
    print(
        "| clients | batches/commit | appends/s | k events/s | CPU us/event "
        "| p50 ms | p99 ms | max ms |\n|---|---|---|---|---|---|---|---|"
    )
    for clients in CLIENTS:
        runs = []
        for _ in range(options.runs):
            with tempfile.TemporaryDirectory(dir=options.directory) as directory:
                run = measure(Path(directory), clients, options.seconds)
                runs.append(asyncio.run(run))
        print(format_row(clients, runs), flush=True)


if __name__ == "__main__":
    main()
