"""What an event costs as a node grows: rows in its journal, sites, processes.

    python -m benchmarks.bench_scaling [--runs N] [--seconds S] [--rows N]

Each row is a service of its own that takes native batches of 50 and then web events,
with a journal that syncs to disk, and without a ClickHouse: the journal begins with so
many rows, and grows. The services of a group run side by side and take turns, there and
back: what changes with time is not put down to a row. *µs* are CPU of all processes of
the service; *of first* compares them with the first row of the group in the same turn,
and is to stay between 0.85 and 1.15. Two and four services that share the connections
and know nothing of each other are the floors of as many workers.
"""

import argparse
import asyncio
import random
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import uuid_utils
from benchmarks.load.driver import make_native_rows
from benchmarks.load.report import print_table
from benchmarks.load.requests import (
    VISITORS,
    web_requests,
    write_native_requests,
    write_requests,
)
from benchmarks.load.sites import (
    MANY,
    SITE,
    Rules,
    Site,
    no_rules,
    own_rules,
    same_rules,
    write_sites,
)
from benchmarks.load.target import Target, run_service
from benchmarks.load.wrk import Feed, Load, run_wrk

from headwater_ingest.journal import Journal
from headwater_ingest.journal.entry import Entry
from headwater_ingest.rows import encode_rows

AWAY: Final = "clickhouse://nobody:none@127.0.0.1:1/nowhere"
ROOM: Final = 64 * 1024**3
CONNECTIONS: Final = 32
MANY_CONNECTIONS: Final = 128
"""Those of a node that needs workers: 32 for each of four."""
EVENTS: Final = 50
KINDS: Final = {"native": EVENTS, "web": 1}
"""Events per request."""
NATIVE_WARM_S: Final = 1
WEB_WARM_S: Final = 2
WEB_WARM_REQUESTS: Final = 3 * VISITORS
"""After so many per process, it has met 95 of 100 visitors on average."""
BATCHES_PER_S: Final = 6_000
"""More than the service takes: no batch may be sent to it twice."""
WEB_REQUESTS: Final = 100_000
"""Web events may: whoever loads a page again sends the same once more."""
ROWS: Final = (1_000, 100_000)
FILL_EVENTS: Final = 1_000
FILL_TASKS: Final = 32
Figures = dict[str, list[float]]
ONE: Final = (SITE,)


@dataclass(frozen=True, slots=True)
class Case:
    """A service that is measured.

    Attributes:
        name: Its row.
        rows: In its journal at the start.
        sites: That it has.
        rules: Of each site, by its place among them.
        workers: Processes that answer requests.
        services: How many of it run side by side and share the connections.
        connections: From which requests come.
    """

    name: str
    rows: int = 0
    sites: Sequence[Site] = ONE
    rules: Rules = no_rules
    workers: int = 1
    services: int = 1
    connections: int = CONNECTIONS


@dataclass(frozen=True, slots=True)
class Running:
    """A case whose services run.

    Attributes:
        case: The case.
        targets: Its services.
        feeds: By kind of event, what each of them is sent.
    """

    case: Case
    targets: Sequence[Target]
    feeds: Mapping[str, Sequence[Feed]]

    def send(self, kind: str, seconds: int) -> list[Load]:
        """Sends to all services at the same time, with a part of the connections."""
        share = self.case.connections // self.case.services

        def send_to(target: Target, feed: Feed) -> Load:
            return run_wrk(target.port, feed, connections=share, seconds=seconds)

        with ThreadPoolExecutor() as pool:
            return list(pool.map(send_to, self.targets, self.feeds[kind]))

    def cpu_s(self) -> float:
        """Returns what all processes have spent."""
        return sum(sum(target.cpu_s().values()) for target in self.targets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=1, help="of each, whole ones")
    parser.add_argument("--rows", type=int, default=300_000, help="most of a journal")
    arguments = parser.parse_args()
    many = partial(Case, connections=MANY_CONNECTIONS)
    groups = (
        [Case(f"{rows:,} rows", rows) for rows in sorted({*ROWS, arguments.rows})],
        [
            Case("1 site", rules=same_rules),
            Case(f"{len(MANY):,} sites, same rules", sites=MANY, rules=same_rules),
            Case(f"{len(MANY):,} sites, own rules", sites=MANY, rules=own_rules),
        ],
        [
            many("1 process"),
            many("2 services", services=2),
            many("2 workers", workers=2),
            many("4 services", services=4),
            many("4 workers", workers=4),
        ],
    )
    rows: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as directory:
        loads = Path(directory)
        write_loads(loads, arguments.runs * arguments.seconds)
        for cases in groups:
            measure_group(rows, cases, loads, arguments.runs, arguments.seconds)
    print_table("scaling", rows)


def write_loads(directory: Path, seconds: int) -> None:
    """Writes the requests for one site and for many."""
    batches = BATCHES_PER_S * (seconds + NATIVE_WARM_S)
    for sites in (ONE, MANY):
        native = directory / f"native-{len(sites)}"
        write_native_requests(native, batches, EVENTS, sites=sites)
        write_requests(
            directory / f"web-{len(sites)}", web_requests(WEB_REQUESTS, sites)
        )


def measure_group(
    rows: dict[str, Figures],
    cases: Sequence[Case],
    loads: Path,
    runs: int,
    seconds: int,
) -> None:
    """Adds the figures of cases that take turns."""
    with ExitStack() as stack:
        running = [start(stack, case, loads) for case in cases]
        for each in running:
            warm_up(each)
        for turn in range(runs):
            order = running[::-1] if turn % 2 else running
            spent = {each.case.name: measure(rows, each, seconds) for each in order}
            compare(rows, cases, spent)


def start(stack: ExitStack, case: Case, loads: Path) -> Running:
    """Starts the services of a case."""
    targets = [stack.enter_context(run(case)) for _ in range(case.services)]
    feeds = {
        kind: [Feed(loads / f"{kind}-{len(case.sites)}") for _ in targets]
        for kind in KINDS
    }
    return Running(case, targets, feeds)


def warm_up(running: Running) -> None:
    """Sends until the caches are full and the sessions of most visitors open."""
    running.send("native", NATIVE_WARM_S)
    left = WEB_WARM_REQUESTS * running.case.services * running.case.workers
    while left > 0:
        left -= sum(load.requests for load in running.send("web", WEB_WARM_S))


def measure(
    rows: dict[str, Figures], running: Running, seconds: int
) -> dict[str, float]:
    """Adds what a case takes per second, and returns its µs of CPU per event."""
    figures = rows.setdefault(running.case.name, {})
    spent: dict[str, float] = {}
    for kind, events in KINDS.items():
        before = running.cpu_s()
        sent = running.send(kind, seconds)
        requests = sum(load.requests for load in sent)
        spent[kind] = (running.cpu_s() - before) / requests / events * 1e6
        rate = sum(load.rate for load in sent)
        figures.setdefault(f"{kind}/s", []).append(rate * events)
    for target in running.targets:
        check(target)
    return spent


def compare(
    rows: dict[str, Figures], cases: Sequence[Case], spent: dict[str, dict[str, float]]
) -> None:
    """Adds what the cases of a group cost, and in relation to the first."""
    first = spent[cases[0].name]
    for case in cases:
        figures = rows[case.name]
        for kind, cost in spent[case.name].items():
            figures.setdefault(f"{kind} µs", []).append(cost)
            figures.setdefault(f"{kind} of first", []).append(cost / first[kind])


def run(case: Case) -> AbstractContextManager[Target]:
    """Runs a service of a case."""
    return run_service(
        prepare=partial(prepare, case=case),
        clickhouse_url=AWAY,
        journal_max_bytes=str(ROOM),
        workers=str(case.workers),
    )


def check(target: Target) -> None:
    """Raises unless every event was taken."""
    counts = target.metrics()
    others = {
        labels: value
        for (name, labels), value in counts.items()
        if name == "headwater_events_total" and value and labels != "accepted,"
    }
    if others:
        raise RuntimeError(f"not all events were taken: {others}")


def prepare(directory: Path, case: Case) -> None:
    """Writes the sites file and fills the journal."""
    write_sites(directory / "sites.toml", case.sites, case.rules)
    if case.rows:
        asyncio.run(fill(directory, case.rows))


async def fill(directory: Path, rows: int) -> None:
    """Puts rows into the journal of a directory."""
    journal = Journal.open(directory, max_bytes=ROOM)
    made = make_native_rows(random.Random(1), FILL_EVENTS, with_sessions=False)
    counts = iter(range(rows // FILL_EVENTS))

    async def append() -> None:
        for _ in counts:
            ids = [uuid_utils.uuid7().bytes for _ in range(FILL_EVENTS)]
            await journal.append(make_entry(ids, encode_rows(made)))

    try:
        await asyncio.gather(*[append() for _ in range(FILL_TASKS)])
    finally:
        await asyncio.to_thread(journal.close)


def make_entry(ids: Sequence[bytes], rows: bytes) -> Entry:
    """Returns an entry of its own batch. Nobody reads the ids inside its rows."""
    return Entry(
        site_id=1,
        batch_id=uuid_utils.uuid7().bytes,
        event_ids=b"".join(ids),
        rows=rows,
        row_count=len(ids),
        answer=msgspec.json.encode({"accepted": len(ids)}),
        ids_digest=b"",
    )


if __name__ == "__main__":
    main()
