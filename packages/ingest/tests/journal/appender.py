"""A process that appends numbered batches until it is killed. It tells which are safe.

`python appender.py DIRECTORY FIRST` prints the number of each batch once its append
has returned. The ids of a batch follow from its number.
"""

import asyncio
import hashlib
import os
import sys
from itertools import count
from pathlib import Path
from uuid import UUID

import msgspec

from headwater_ingest.journal import Entry, Journal
from headwater_ingest.rows import Rows, encode_rows
from headwater_schema.batch import BatchResult

CLIENTS = 8


def ids_of(batch: int) -> list[UUID]:
    return [UUID(int=batch * 100 + index) for index in range(batch % 7)]


def make_entry(batch: int) -> Entry:
    ids = ids_of(batch)
    joined = b"".join(each.bytes for each in ids)
    constants = {"properties": "x" * (batch % 13 * 1000)}
    return Entry(
        site_id=1,
        batch_id=UUID(int=batch).bytes,
        event_ids=joined,
        rows=encode_rows(Rows([each.bytes for each in ids], constants, {}))
        if ids
        else b"",
        row_count=len(ids),
        answer=msgspec.json.encode(BatchResult(accepted=len(ids))),
        ids_digest=hashlib.sha256(joined).digest(),
    )


async def append_for_ever(directory: Path, first: int) -> None:
    journal = Journal.open(directory, max_bytes=1 << 30)
    numbers = count(first)

    async def client() -> None:
        for number in numbers:
            await journal.append(make_entry(number))
            os.write(1, b"%d\n" % number)

    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(client())


if __name__ == "__main__":
    asyncio.run(append_for_ever(Path(sys.argv[1]), int(sys.argv[2])))
