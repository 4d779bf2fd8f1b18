"""What merges cost ClickHouse, by how late it merges. No part of `make bench`.

    python -m benchmarks.merges [--bases N ...] [--rounds N]

Embedded servers with all tables and views, each with another `merge_selector_base`, are
given the same blocks of 20,000 native events in sessions, in turn. *CPU* is that of a
server per row, inserts and merges, in each of some rounds; *parts* and *question* are
from the end: the parts of `events`, and the time of a question to `events_unique`.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from benchmarks.load.driver import BLOCK_ROWS, make_blocks
from benchmarks.load.report import print_table
from benchmarks.load.target import read_cpu_s

from headwater_ingest.clickhouse.client import Client, connect
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.clickhouse.migrate import migrate
from headwater_ingest.writer.block import Insert
from headwater_ingest.writer.sink import ClickHouseSink

BLOCKS: Final = 25
CONFIG: Final = (
    "<clickhouse><merge_tree><merge_selector_base>{}</merge_selector_base></merge_tree>"
    "</clickhouse>"
)
PARTS: Final = "SELECT count() FROM system.parts WHERE active AND table = 'events'"
QUESTION: Final = "SELECT name, count(), uniq(user_id) FROM events_unique GROUP BY name"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bases", type=int, nargs="+", default=[5, 10, 20, 50])
    parser.add_argument("--rounds", type=int, default=6)
    arguments = parser.parse_args()
    rows: dict[str, dict[str, list[float]]] = {}
    blocks = make_blocks(with_sessions=True)
    with ExitStack() as stack:
        servers = {base: stack.enter_context(run(base)) for base in arguments.bases}
        for _ in range(arguments.rounds):
            before = {base: cpu_s(server) for base, server in servers.items()}
            insert(list(servers.values()), islice(blocks, BLOCKS))
            for base, server in servers.items():
                spent = (cpu_s(server) - before[base]) / (BLOCKS * BLOCK_ROWS)
                figures = rows.setdefault(f"base of {base}", {})
                figures.setdefault("CPU µs", []).append(spent * 1e6)
        for server, figures in zip(servers.values(), rows.values(), strict=True):
            with connect(server.url) as client:
                figures.update(ask(client))
    print_table("merges", rows)


@contextmanager
def run(base: int) -> Iterator[EmbeddedClickHouse]:
    """Runs a server with this base."""
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as name:
        config = Path(name) / "config.d" / "merges.xml"
        config.parent.mkdir()
        config.write_text(CONFIG.format(base))
        server = EmbeddedClickHouse(Path(name))
        server.start()
        try:
            migrate(server.url)
            yield server
        finally:
            server.stop(timeout_s=0)


def insert(servers: list[EmbeddedClickHouse], blocks: Iterator[Insert]) -> None:
    """Gives each block to all servers."""
    with ExitStack() as stack:
        sinks = [
            ClickHouseSink(partial(connect, server.url), lambda _seconds: None)
            for server in servers
        ]
        for sink in sinks:
            stack.enter_context(closing(sink))
        for block in blocks:
            for sink in sinks:
                sink.insert(block)


def cpu_s(server: EmbeddedClickHouse) -> float:
    return read_cpu_s(server.pid or 0)


def ask(client: Client) -> dict[str, list[float]]:
    """Returns the number of parts, and how long a question took."""
    [(parts,)] = client.execute(PARTS)
    started = time.perf_counter()
    client.execute(QUESTION)
    took_ms = (time.perf_counter() - started) * 1000
    return {"parts": [parts], "question ms": [took_ms]}


if __name__ == "__main__":
    main()
