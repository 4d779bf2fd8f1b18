"""The writer process: `python -m headwater_ingest.writer`, started by the service.

See `protocol.py` for what is said over its pipes. Signals are the service's business:
a Ctrl-C in the terminal reaches this process too, and must not end it before the drain.
"""

import gc
import os
import signal
import threading
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import DecodeError

from headwater_ingest.archive import DIRECTORY_NAME, ArchiveWriter, Keeping
from headwater_ingest.clickhouse.client import ClickHouseUrl, Client, connect
from headwater_ingest.clickhouse.migrate import schema_state
from headwater_ingest.clock import start_clock
from headwater_ingest.errors import JournalError
from headwater_ingest.journal import JournalReader
from headwater_ingest.writer.bisect import Limits
from headwater_ingest.writer.classify import classify
from headwater_ingest.writer.control import Control
from headwater_ingest.writer.loop import WriterLoop
from headwater_ingest.writer.progress import Progress
from headwater_ingest.writer.protocol import (
    WriterSettings,
    WriterStatus,
    decode_drain,
    decode_settings,
    encode_line,
)
from headwater_ingest.writer.sink import ClickHouseSink

ORPHAN_S: Final = 10.0
"""How long a block may still take when the service is gone."""

_OPEN_AGAIN_S: Final = 0.5
# The loop collects garbage after each block. To look for some while one is made costs
# more than all that could be found.
_GC_THRESHOLD: Final = 200_000


def main() -> None:
    """Write until the service says otherwise or is gone."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    # Unbuffered: at the end, a thread that waits in a buffered read holds its lock.
    orders = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115
    told = orders.readline()
    if not told.endswith(b"\n"):
        return  # the service was gone before it could say what to do
    settings = decode_settings(told)
    control = Control()
    listener = partial(_listen, orders, control)
    threading.Thread(target=listener, name="listener", daemon=True).start()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
    progress = Progress(_print)
    reader = _open_journal(settings, control, progress)
    if reader is not None:
        with closing(reader):
            _write(settings, reader, control=control, progress=progress)
    progress.note_stopped()


def _write(
    settings: WriterSettings,
    reader: JournalReader,
    *,
    control: Control,
    progress: Progress,
) -> None:
    url = ClickHouseUrl.parse(settings.clickhouse_url)
    sink = ClickHouseSink(partial(_connect, url), progress.note_insert)
    with closing(sink):
        WriterLoop(
            reader,
            sink,
            control=control,
            progress=progress,
            block_rows=settings.block_rows,
            block_age_ms=settings.block_age_ms,
            limits=Limits(settings.dead_letter_run, settings.dead_letter_share),
            archive=_open_archive(settings),
        ).run()


def _open_archive(settings: WriterSettings) -> ArchiveWriter | None:
    if not settings.archive_days:
        return None
    directory = Path(settings.directory) / DIRECTORY_NAME
    keeping = Keeping(settings.archive_days, settings.archive_max_bytes)
    return ArchiveWriter(directory, keeping, clock_ms=start_clock())


def _connect(url: ClickHouseUrl) -> Client:
    """Connect, unless a newer release has made the tables its own."""
    client = connect(url)
    try:
        schema_state(client, url.database)
    except BaseException:
        client.disconnect()
        raise
    return client


def _open_journal(
    settings: WriterSettings, control: Control, progress: Progress
) -> JournalReader | None:
    """Open the journal as soon as the writer of an earlier service lets it go."""
    while not control.is_stopped:
        try:
            return JournalReader(Path(settings.directory))
        except JournalError as error:
            progress.note_failure(classify(error))
            control.wait(_OPEN_AGAIN_S, is_draining=control.is_draining)
    return None


def _listen(orders: Iterable[bytes], control: Control) -> None:
    with suppress(DecodeError):  # the service died while it said it
        for line in orders:
            control.drain(decode_drain(line).drain_s)
    control.stop()
    time.sleep(ORPHAN_S)
    # A kill is safe at any point, and the next service waits for the journal.
    os._exit(1)


def _print(status: WriterStatus) -> None:
    with suppress(BrokenPipeError):  # the service is gone: the listener ends this
        os.write(1, encode_line(status))


if __name__ == "__main__":
    main()
