"""What a row costs the writer and ClickHouse, step by step.

    python -m benchmarks.bench_writer [--runs N] [--blocks N]

Blocks of 20,000 rows as the journal has them, native events in sets of 50 and web
events in sets of one, go the way of the writer into an embedded ClickHouse: *decode*
the sets, *merge* them into columns, *send* them with the driver, each in µs of CPU per
row. *ClickHouse* is the CPU of the server per row, all views and merges in it, until no
merge is left. *Rows/s* is the speed of the writer alone with its server.
"""

import argparse
import gc
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import uuid_utils
from benchmarks.load.driver import make_native_rows
from benchmarks.load.quiet import count_merges, wait_for_merges
from benchmarks.load.report import print_table
from benchmarks.load.target import read_cpu_s

from headwater_ingest.clickhouse.client import connect
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.clickhouse.migrate import migrate
from headwater_ingest.rows import Row, decode_rows, encode_row, encode_rows
from headwater_ingest.writer.block import make_inserts
from headwater_ingest.writer.sink import ClickHouseSink
from headwater_schema.ids import new_batch_id

BLOCK_ROWS: Final = 20_000
NATIVE_ROWS: Final = 50
VISITORS: Final = 20_000

Figures = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--blocks", type=int, default=10)
    arguments = parser.parse_args()
    gc.set_threshold(200_000)  # as the writer does
    kinds: dict[str, Callable[[random.Random], list[bytes]]] = {
        "native": partial(native_block, with_sessions=False),
        "native, in sessions": partial(native_block, with_sessions=True),
        "web, in sets of one": web_block,
    }
    rows: dict[str, Figures] = {name: {} for name in kinds}
    for _ in range(arguments.runs):
        for name, make_block in kinds.items():
            chance = random.Random(7)
            blocks = [make_block(chance) for _ in range(arguments.blocks)]
            measure(rows[name], blocks)
    print_table("writer", rows)


def measure(figures: Figures, blocks: Sequence[list[bytes]]) -> None:
    """Adds the figures of one run over a fresh server."""
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as directory:
        server = EmbeddedClickHouse(Path(directory))
        server.start()
        try:
            migrate(server.url)
            sink = ClickHouseSink(partial(connect, server.url), lambda _seconds: None)
            before, started = read_cpu_s(server.pid or 0), time.perf_counter()
            steps = write(sink, blocks)
            seconds = time.perf_counter() - started
            sink.close()
            with connect(server.url) as client:
                wait_for_merges(partial(count_merges, client))
            cpu_s = read_cpu_s(server.pid or 0) - before
        finally:
            server.stop(timeout_s=0)
    row_count = len(blocks) * BLOCK_ROWS
    for name, spent_s in {**steps, "ClickHouse": cpu_s}.items():
        figures.setdefault(f"{name} µs", []).append(spent_s / row_count * 1e6)
    figures.setdefault("rows/s", []).append(row_count / seconds)


def write(sink: ClickHouseSink, blocks: Sequence[list[bytes]]) -> dict[str, float]:
    """Writes blocks, and returns the CPU seconds of each step."""
    spent = dict.fromkeys(("decode", "merge", "send"), 0.0)
    for blobs in blocks:
        times = [time.process_time()]
        sets = [decode_rows(blob) for blob in blobs]
        times.append(time.process_time())
        inserts = make_inserts(sets, new_batch_id())
        times.append(time.process_time())
        for insert in inserts:
            sink.insert(insert)
        times.append(time.process_time())
        for name, begin, end in zip(spent, times, times[1:], strict=False):
            spent[name] += end - begin
    return spent


def native_block(chance: random.Random, *, with_sessions: bool) -> list[bytes]:
    make = partial(make_native_rows, chance, NATIVE_ROWS, with_sessions=with_sessions)
    return [encode_rows(make()) for _ in range(BLOCK_ROWS // NATIVE_ROWS)]


def web_block(chance: random.Random) -> list[bytes]:
    return [encode_row(web_row(chance)) for _ in range(BLOCK_ROWS)]


def web_row(chance: random.Random) -> Row:
    """Returns a page view, or a signup, of one of the visitors."""
    visitor = random.Random(chance.randrange(VISITORS))
    now_ms = time.time_ns() // 1_000_000
    columns: dict[str, Any] = {
        "site_id": 7,
        "name": "pageview",
        "timestamp": now_ms // 1000 * 1000,
        "received_at": now_ms,
        "user_id": visitor.getrandbits(64),
        "session_id": visitor.getrandbits(64),
        "hostname": "bench.example",
        "pathname": f"/articles/{chance.randrange(5000)}/a-title",
        "acquisition_channel": "Direct",
        "country_code": visitor.choice(("DE", "FR", "US", "GB")),
        "screen_size": visitor.choice(("Desktop", "Mobile")),
        "operating_system": visitor.choice(("Windows", "Mac", "iOS", "Android")),
        "operating_system_version": str(visitor.randrange(9, 16)),
        "browser": visitor.choice(("Chrome", "Safari", "Firefox")),
        "browser_version": f"{visitor.randrange(100, 140)}.0",
    }
    if chance.random() < 0.2:
        columns |= {"name": "Signup", "props": {"plan": "pro", "seats": "5"}}
    if chance.random() < 0.5:
        columns |= {"referrer": "google.com", "referrer_source": "Google"}
    return Row(uuid_utils.uuid7().bytes, columns)


if __name__ == "__main__":
    main()
