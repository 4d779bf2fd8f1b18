"""Entries to append, and a journal in a directory of its own."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest

from headwater_ingest.journal import Entry, Journal, JournalReader, Receipt
from headwater_ingest.rows import Rows, decode_rows, encode_rows
from headwater_schema.batch import BatchResult


def _make_entry(
    event_ids: int | Sequence[UUID] = 3,
    batch_id: UUID | None = None,
    padding: int = 0,
) -> Entry:
    if isinstance(event_ids, int):
        event_ids = [uuid4() for _ in range(event_ids)]
    ids = b"".join(each.bytes for each in event_ids)
    rows = Rows(
        [each.bytes for each in event_ids],
        {"site_id": 7, "properties": "x" * padding},
        {"name": [f"event {each.hex[:4]}" for each in event_ids]},
    )
    return Entry(
        site_id=7,
        batch_id=(batch_id or uuid4()).bytes,
        event_ids=ids,
        rows=encode_rows(rows) if event_ids else b"",
        row_count=len(event_ids),
        answer=msgspec.json.encode(BatchResult(accepted=len(event_ids))),
        ids_digest=hashlib.blake2b(ids, digest_size=16).digest(),
    )


@pytest.fixture
def make_entry() -> Callable[..., Entry]:
    """Returns a function that makes an entry of so many rows, or of these."""
    return _make_entry


@pytest.fixture
def read_answer() -> Callable[[bytes], BatchResult]:
    """Returns the decoder of answers."""
    return msgspec.json.Decoder(BatchResult).decode


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal in `tmp_path`, with room for 64 MiB."""
    with closing(Journal.open(tmp_path, max_bytes=1 << 26)) as journal:
        yield journal


@pytest.fixture
def append() -> Callable[..., list[Receipt]]:
    """Returns a function that appends entries side by side."""

    def append(journal: Journal, *entries: Entry) -> list[Receipt]:
        async def gather() -> list[Receipt]:
            return await asyncio.gather(*map(journal.append, entries))

        return asyncio.run(gather())

    return append


@pytest.fixture
def drain(tmp_path: Path) -> Callable[[], list[UUID]]:
    """Returns a function that reads the event ids of all rows, and lets them go."""

    def drain() -> list[UUID]:
        ids: list[UUID] = []
        with closing(JournalReader(tmp_path)) as reader:
            while block := reader.next_block(1000, 0):
                for blob in reader.read(block):
                    ids += [UUID(bytes=each) for each in decode_rows(blob).event_id]
                reader.checkpoint(block)
        return ids

    return drain


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """Returns a function that waits for a condition, at most ten seconds."""

    def wait(is_met: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not is_met():
            assert time.monotonic() < deadline, "the condition was not met in time"
            time.sleep(0.01)

    return wait


@pytest.fixture
def limit_file_size() -> Iterator[Callable[[int], None]]:
    """Returns a function that makes the disk refuse any file beyond a size."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
