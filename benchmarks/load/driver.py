"""The floor of the writer: its sink alone, with columns that are ready."""

import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
import uuid_utils
from benchmarks.load.requests import make_batch

from headwater_ingest.clickhouse.client import connect
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.clickhouse.migrate import migrate
from headwater_ingest.pipeline.native import NativeBatch, build_batch
from headwater_ingest.rows import EVENT_ID, Rows
from headwater_ingest.writer.block import Insert, make_inserts
from headwater_ingest.writer.sink import ClickHouseSink
from headwater_schema.codec import decode_batch
from headwater_schema.ids import new_batch_id

BLOCK_ROWS: Final = 20_000
_BATCH: Final = 50
_BLOCKS: Final = 8


def insert_ready_columns(seconds: float, *, with_sessions: bool) -> float:
    """Returns rows per second, merges of these seconds included."""
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as directory:
        server = EmbeddedClickHouse(Path(directory))
        server.start()
        try:
            migrate(server.url)
            sink = ClickHouseSink(partial(connect, server.url), lambda _seconds: None)
            rows, started = 0, time.perf_counter()
            for insert in make_blocks(with_sessions=with_sessions):
                sink.insert(insert)
                rows += insert.row_count
                if (took := time.perf_counter() - started) > seconds:
                    sink.close()
                    return rows / took
        finally:
            server.stop(timeout_s=0)
    raise AssertionError("blocks never end")


def make_blocks(*, with_sessions: bool) -> Iterator[Insert]:
    """Yields the same few blocks for ever, with new ids and a new token each time."""
    chance = random.Random(1)
    blocks = [_make_block(chance, with_sessions=with_sessions) for _ in range(_BLOCKS)]
    while True:
        for block in blocks:
            ids = [uuid_utils.uuid7().bytes for _ in range(block.row_count)]
            columns = list(block.columns)
            columns[block.names.index(EVENT_ID)] = ids
            yield replace(block, columns=columns, token=new_batch_id())


def _make_block(chance: random.Random, *, with_sessions: bool) -> Insert:
    sets = [
        make_native_rows(chance, _BATCH, with_sessions=with_sessions)
        for _ in range(BLOCK_ROWS // _BATCH)
    ]
    (insert,) = make_inserts(sets, "")
    return insert


def make_native_rows(chance: random.Random, rows: int, *, with_sessions: bool) -> Rows:
    """Returns the rows of a batch."""
    batch = make_batch(chance, rows, with_sessions=with_sessions)
    decoded = decode_batch(msgspec.json.encode(batch))
    now_ms = time.time_ns() // 1_000_000
    native = NativeBatch(1, UUID(int=0), decoded, now_ms)
    return build_batch(native, seen=lambda _keys: ()).rows
