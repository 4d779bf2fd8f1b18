"""Journals to drain, sinks to drain them into, and a real ClickHouse."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import MappingProxyType
from uuid import UUID, uuid4

import msgspec
import pytest

from headwater_ingest.clickhouse.client import ClickHouseUrl, Client, connect
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.clickhouse.migrate import migrate
from headwater_ingest.journal import Count, Entry, Journal, JournalReader
from headwater_ingest.rows import Rows, encode_rows
from headwater_ingest.writer.bisect import Sink
from headwater_ingest.writer.control import Control
from headwater_ingest.writer.loop import WriterLoop
from headwater_ingest.writer.progress import Progress
from headwater_schema.batch import BatchResult

DEADLINE_S = 30.0
NOW_MS = 1_790_000_000_000

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
    """A database of this test's own, with all tables."""
    url = replace(server.url, database=f"writer_{next(_numbers)}")
    migrate(url)
    yield url
    with connect(url.without_database()) as client:
        client.execute(f"DROP DATABASE {url.database}")


@pytest.fixture
def client(url: ClickHouseUrl) -> Iterator[Client]:
    """A connection to it."""
    with connect(url) as client:
        yield client


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal in `tmp_path`."""
    with closing(Journal.open(tmp_path, max_bytes=1 << 30)) as journal:
        yield journal


@pytest.fixture
def fill(journal: Journal) -> Callable[..., list[UUID]]:
    """Returns a function that appends rows, a commit per batch, and tells their ids."""

    def fill(
        batches: int,
        rows: int = 10,
        times: Sequence[int] = (),
        counts: tuple[Count, ...] = (),
        constants: Mapping[str, object] = MappingProxyType({}),
    ) -> list[UUID]:
        ids: list[UUID] = []

        async def append() -> None:
            for _ in range(batches):
                entry = _make_entry([uuid4() for _ in range(rows)], times, constants)
                entry = msgspec.structs.replace(entry, counts=counts)
                ids.extend(_split(entry.event_ids))
                await journal.append(entry)

        asyncio.run(append())
        return ids

    return fill


def _make_entry(
    ids: list[UUID], times: Sequence[int], constants: Mapping[str, object]
) -> Entry:
    joined = b"".join(each.bytes for each in ids)
    at = list(times) or [NOW_MS + index for index in range(len(ids))]
    rows = Rows(
        [each.bytes for each in ids],
        {"site_id": 7, "received_at": NOW_MS, "name": "pageview", **constants},
        {"timestamp": at, "distinct_id": [f"user {each.hex[:6]}" for each in ids]},
    )
    return Entry(
        site_id=7,
        batch_id=uuid4().bytes,
        event_ids=joined,
        rows=encode_rows(rows),
        row_count=len(ids),
        answer=msgspec.json.encode(BatchResult(accepted=len(ids))),
        ids_digest=hashlib.blake2b(joined, digest_size=16).digest(),
    )


def _split(joined: bytes) -> list[UUID]:
    return [UUID(bytes=joined[at : at + 16]) for at in range(0, len(joined), 16)]


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Wait until a condition holds; fail after a deadline."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, "the condition never held"
            time.sleep(0.01)

    return wait


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Progress]:
    """Returns a function that drains the journal into a sink and says how it went."""

    def write(sink: Sink, block_rows: int = 1000, timeout_s: float = 20) -> Progress:
        control, progress = Control(), Progress(lambda _: None)
        control.drain(timeout_s)
        with closing(JournalReader(tmp_path)) as reader:
            WriterLoop(
                reader,
                sink,
                control=control,
                progress=progress,
                block_rows=block_rows,
                block_age_ms=1000,
            ).run()
        return progress

    return write
