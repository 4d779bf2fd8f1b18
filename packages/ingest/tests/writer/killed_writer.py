"""A writer that kills itself, `kill -9`, at a named point of its n-th call.

`python killed_writer.py DIRECTORY POINT N`, with the URL of ClickHouse on standard
input. Points: `before insert`, `after insert`, `after checkpoint`.
"""

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from headwater_ingest.clickhouse.client import ClickHouseUrl, connect
from headwater_ingest.journal import JournalReader
from headwater_ingest.writer.control import Control
from headwater_ingest.writer.loop import WriterLoop
from headwater_ingest.writer.progress import Progress
from headwater_ingest.writer.sink import ClickHouseSink


def kill_at(point: str, nth: int, sink: Any, reader: Any) -> None:
    order, _, name = point.partition(" ")
    owner = sink if name == "insert" else reader
    call: Callable[..., None] = getattr(owner, name)
    numbers = count(1)

    def replaced(*arguments: Any) -> None:
        is_last = next(numbers) == nth
        if is_last and order == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        call(*arguments)
        if is_last and order == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, replaced)


def main(directory: str, point: str, nth: str) -> None:
    url = ClickHouseUrl.parse(sys.stdin.read())
    reader = JournalReader(Path(directory))
    sink = ClickHouseSink(partial(connect, url), lambda _: None)
    kill_at(point, int(nth), sink, reader)
    WriterLoop(
        reader,
        sink,
        control=Control(),
        progress=Progress(lambda _: None),
        block_rows=50,
        block_age_ms=0,
    ).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
