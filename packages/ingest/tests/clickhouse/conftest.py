"""A real ClickHouse for the tests of this room: one server, a database per test."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from headwater_ingest.clickhouse.client import ClickHouseUrl, Client, connect
from headwater_ingest.clickhouse.columns import encode_columns_at_once
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.clickhouse.migrate import migrate
from headwater_ingest.rows import COLUMNS, EVENT_ID, Rows, merge_columns

DEADLINE_S = 30.0

INSERT = f"INSERT INTO events ({', '.join(column.name for column in COLUMNS)}) VALUES"

_numbers = count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    """A server that the tests share. It is never stopped or killed by one of them."""
    server = EmbeddedClickHouse(tmp_path_factory.mktemp("clickhouse"))
    server.start()
    yield server
    server.stop(timeout_s=0)


@pytest.fixture
def url(server: EmbeddedClickHouse) -> Iterator[ClickHouseUrl]:
    """The address of a database that does not exist yet, this test's own."""
    url = replace(server.url, database=f"test_{next(_numbers)}")
    yield url
    with connect(url.without_database()) as client:
        client.execute(f"DROP DATABASE IF EXISTS {url.database}")


@pytest.fixture
def client(url: ClickHouseUrl) -> Iterator[Client]:
    """A connection to this test's database, with all tables."""
    migrate(url)
    with connect(url) as client:
        yield client


@pytest.fixture
def store(client: Client) -> Callable[..., None]:
    """Insert events, given as mappings, as one block under a token."""

    def store(
        events: Iterable[Mapping[str, Any]], token: str, **settings: object
    ) -> None:
        rows = [
            Rows(
                [event[EVENT_ID].bytes],
                {name: value for name, value in event.items() if name != EVENT_ID},
                {},
            )
            for event in events
        ]
        encode_columns_at_once(client)
        client.execute(
            INSERT,
            merge_columns(rows),
            columnar=True,
            settings={"insert_deduplication_token": token, **settings},
        )

    return store


@pytest.fixture
def store_anyhow(
    store: Callable[..., None],
) -> Callable[[Sequence[Mapping[str, Any]], random.Random], None]:
    """Insert events as it may happen: in any order, and some of them once more.

    They come in two blocks, one of which is sent again, and a choice of them comes by
    another way, under a token of its own.
    """

    def store_anyhow(
        events: Sequence[Mapping[str, Any]], chance: random.Random
    ) -> None:
        number = next(_numbers)
        shuffled = chance.sample(events, len(events))
        cut = chance.randrange(1, len(events))
        blocks = {f"{number}/1": shuffled[:cut], f"{number}/2": shuffled[cut:]}
        anew = chance.sample(events, chance.randint(1, len(events)))
        once = chance.sample([*blocks.items(), (f"{number}/other", anew)], 3)
        optimize = chance.choice([0, 1])
        for token, block in [*once, chance.choice([*blocks.items()])]:
            store(block, token, optimize_on_insert=optimize)

    return store_anyhow


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., EmbeddedClickHouse]]:
    """Make a server that the test may start, stop and kill as it likes."""
    made: list[EmbeddedClickHouse] = []

    def make(directory: Path = tmp_path / "own", **options: int) -> EmbeddedClickHouse:
        made.append(EmbeddedClickHouse(directory, **options))
        return made[-1]

    yield make
    for each in made:
        each.stop(timeout_s=0)


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Wait until a condition holds; fail after a deadline."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, "the condition never held"
            time.sleep(0.01)

    return wait
