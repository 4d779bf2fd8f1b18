"""What sessions and persons cost ClickHouse: at each insert, and when they are read.

Run with `python -m benchmarks.bench_views [--runs N] [--persons N]`. The first table is
the CPU of the server per event, merges apart, in blocks of 20,000; the second the CPU
and the time of a question over all persons. Each cell is the median of the runs, with
the smallest and the largest.
"""

import argparse
import random
import tempfile
import time
from dataclasses import replace
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, Final

import uuid_utils

from headwater_ingest.clickhouse.client import ClickHouseUrl, Client, connect
from headwater_ingest.clickhouse.columns import encode_columns_at_once
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.clickhouse.migrate import migrate
from headwater_ingest.rows import COLUMNS, Rows, merge_columns

INSERT: Final = (
    f"INSERT INTO events ({', '.join(each.name for each in COLUMNS)}) VALUES"
)
BLOCK_ROWS: Final = 20_000
BLOCKS: Final = 5
FEEDS: Final = (
    *("session_states_feed", "person_ops_feed", "group_ops_feed"),
    "person_aliases_feed",
)
CPU: Final = (
    "SELECT value FROM system.events WHERE event = 'OSCPUVirtualTimeMicroseconds'"
)
OPERATIONS: Final = {
    "email": ("set", """concat('"', toString(number), '@example.com"')"""),
    "name": ("set", "'\"Ada\"'"),
    "plan": ("set", "'\"pro\"'"),
    "country": ("set", "'\"DE\"'"),
    "first_seen": ("set_once", "'\"2026-01-01\"'"),
    "logins": ("add", "'1'"),
    "tags": ("append", "'\"vip\"'"),
}
QUESTIONS: Final = {
    "all persons": "SELECT * FROM persons",
    "one person": "SELECT * FROM persons WHERE person_id = 'user 7'",
    "persons by plan": "SELECT props['plan'], count() FROM persons GROUP BY 1",
    "the person of each id": "SELECT * FROM person_ids",
    "all sessions": "SELECT * FROM sessions",
}

_databases = count(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--persons", type=int, default=50_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        server = EmbeddedClickHouse(Path(directory))
        server.start()
        try:
            measure_inserts(server.url, arguments.runs)
            measure_questions(server.url, arguments.runs, arguments.persons)
        finally:
            server.stop(timeout_s=0)


def measure_inserts(url: ClickHouseUrl, runs: int) -> None:
    print("| events | optimize_on_insert | µs of CPU | and with all views |")
    print("| --- | --- | --- | --- |")
    kinds = {"of one session each 4": 4, "without a session": 0}
    for kind, events_per_session in kinds.items():
        for optimize in (1, 0):
            cells = [
                show(
                    [
                        insert_cpu_us(url, events_per_session, optimize, feeds=feeds)
                        for _ in range(runs)
                    ]
                )
                for feeds in (False, True)
            ]
            print(f"| {kind} | {optimize} | {' | '.join(cells)} |")


def insert_cpu_us(
    url: ClickHouseUrl, events_per_session: int, optimize: int, *, feeds: bool
) -> float:
    client = open_database(url)
    for feed in () if feeds else FEEDS:
        client.execute(f"DROP VIEW {feed}")
    client.execute("SYSTEM STOP MERGES")
    blocks = [make_block(events_per_session) for _ in range(BLOCKS)]
    before = cpu_us(client)
    for block in blocks:
        client.execute(
            INSERT, block, columnar=True, settings={"optimize_on_insert": optimize}
        )
    spent = cpu_us(client) - before
    client.execute("SYSTEM START MERGES")
    client.disconnect()
    return spent / (BLOCKS * BLOCK_ROWS)


def make_block(events_per_session: int) -> list[list[Any]]:
    """Return columns of web events whose sessions overlap."""
    pick = random.Random(7)
    sessions = [pick.getrandbits(64) for _ in range(BLOCK_ROWS // 4)]
    chosen = [pick.choice(sessions) for _ in range(BLOCK_ROWS)]
    varying: dict[str, list[Any]] = {
        "session_id": chosen if events_per_session else [0] * BLOCK_ROWS,
        "user_id": chosen,
        "timestamp": [1_790_000_000_000 + 10 * row for row in range(BLOCK_ROWS)],
        "pathname": [f"/page/{pick.randrange(300)}" for _ in chosen],
        "name": [pick.choice(["pageview", "pageview", "Signup"]) for _ in chosen],
        "props": [{"plan": pick.choice(["free", "pro"])} for _ in chosen],
        "referrer_source": [pick.choice(["", "Google", "Bing"]) for _ in chosen],
        "country_code": [pick.choice(["DE", "FR", "US"]) for _ in chosen],
        "browser": [pick.choice(["Chrome", "Firefox", "Safari"]) for _ in chosen],
    }
    ids = [uuid_utils.uuid7().bytes for _ in chosen]
    return merge_columns([Rows(ids, {"site_id": 7, "hostname": "a.example"}, varying)])


def measure_questions(url: ClickHouseUrl, runs: int, persons: int) -> None:
    client = open_database(url)
    fill(client, persons)
    client.execute(INSERT, make_block(4), columnar=True)
    print(f"\n| question, over {persons:,} persons | s of CPU | s |")
    print("| --- | --- | --- |")
    for name, question in QUESTIONS.items():
        measured = [ask(client, question) for _ in range(runs)]
        cells = [show(cell) for cell in zip(*measured, strict=True)]
        print(f"| {name} | {' | '.join(cells)} |")
    client.disconnect()


def fill(client: Client, persons: int) -> None:
    """State seven properties of each person, link an id to it; a second to some."""
    first = "toDateTime64(1790000000 + number, 3)"
    for place, (key, (operation, value)) in enumerate(OPERATIONS.items()):
        client.execute(
            f"INSERT INTO person_ops SELECT 7, concat('user ', toString(number)), "
            f"'{key}', {first}, 10 * number + {place}, '{operation}', {value} "
            f"FROM numbers({persons})"
        )
    for alias, owner, every in (("anon", "user", 1), ("old", "anon", 100)):
        client.execute(
            f"INSERT INTO person_aliases SELECT 7, concat('{alias} ', toString(number))"
            f", concat('{owner} ', toString(number)), {first}, number "
            f"FROM numbers({persons}) WHERE number % {every} = 0"
        )


def ask(client: Client, question: str) -> tuple[float, float]:
    """Return the seconds of CPU and of time that an answer takes, unsent."""
    before, started = cpu_us(client), time.perf_counter()
    client.execute(f"SELECT count() FROM ({question}) WHERE NOT ignore(*)")
    seconds = time.perf_counter() - started
    return (cpu_us(client) - before) / 1e6, seconds


def open_database(url: ClickHouseUrl) -> Client:
    own = replace(url, database=f"bench_{next(_databases)}")
    migrate(own)
    client = connect(own)
    encode_columns_at_once(client)
    return client


def cpu_us(client: Client) -> int:
    [(value,)] = client.execute(CPU)
    return int(value)


def show(values: Any) -> str:
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
