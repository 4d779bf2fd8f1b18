"""`headwater import`: the events of a file, each of them once.

The file is read in chunks that fit into memory. When a chunk is settled, that is
written down, and the next start goes on from there.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

from headwater._client import Client
from headwater._errors import (
    BatchRefusedError,
    HeadwaterError,
    LossError,
    ReportedError,
    UnconfirmedError,
    UndeliveredError,
)
from headwater._reporter import CapturedEvent
from headwater.cli._checkpoint import Checkpoint, CheckpointFile
from headwater.cli._options import add_destination, read_destination
from headwater.cli._progress import Progress
from headwater.cli._records import (
    Line,
    Position,
    Reader,
    Record,
    RecordError,
    read_csv,
    read_ndjson,
)

_CHUNK_EVENTS: Final = 5_000
_CHUNK_BYTES: Final = 16 * 1024 * 1024
_SHOWN_FAULTS: Final = 10
_PATIENCE_S: Final = 5.0
_READERS: Final[dict[str, Reader]] = {"ndjson": read_ndjson, "csv": read_csv}


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "import",
        help="send the events of a file",
        description="Sends the events of an NDJSON or CSV file with the times that "
        "they have. If it is interrupted, the same command goes on where it was; what "
        "is sent twice counts once.",
    )
    parser.add_argument("file", help="the file, or - for standard input")
    parser.add_argument(
        "--format",
        choices=sorted(_READERS),
        help="default: csv for *.csv, else ndjson",
    )
    parser.add_argument("--progress", action="store_true", help="show how far it is")
    parser.add_argument(
        "--name",
        help="goes into the ids of events that have none (default: that of the file)",
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="PATH",
        help="where to write how far it is (default: FILE.headwater-import)",
    )
    add_destination(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Imports the file."""
    options = read_destination(chosen)
    kind = chosen.format or ("csv" if chosen.file.endswith(".csv") else "ndjson")
    with _opened(chosen.file) as file:
        store = _store_of(chosen)
        found = Checkpoint(source="", head_bytes=0)
        if store is not None:
            found = store.read(file, f"{options['host']} {options['write_key']}")
            file.seek(found.offset)
        name = chosen.name or Path(chosen.file).name
        importing = Import(options, found, store, _progress_of(chosen, found))
        position = Position(found.offset, found.lines)
        return importing.run(_READERS[kind](file, name, position), _time_of(chosen))


class Import:
    """One run of an import.

    Args:
        options: Of the client.
        found: How far an earlier run had come.
        store: Keeps how far this one is; None for what cannot be taken up again.
        progress: Is told about it.
    """

    def __init__(
        self,
        options: dict[str, Any],
        found: Checkpoint,
        store: CheckpointFile | None,
        progress: Progress | None,
    ) -> None:
        self._checkpoint = found
        self._before = found.sent
        self._store = store
        self._progress = progress
        self._line = 0
        self._failed = 0
        self._stopped: LossError | None = None
        fixed: dict[str, Any] = {
            "historical": True,
            "on_error": self._note,
            "max_queue_size": _CHUNK_EVENTS,
            # Chunks are cut by bytes of the file; encoded they may be longer.
            "max_queue_bytes": 8 * _CHUNK_BYTES,
        }
        self._client = Client(**{**options, **fixed})

    def run(self, lines: Iterator[Line], file_time: datetime) -> int:
        """Sends all lines; returns the exit status.

        Raises:
            HeadwaterError: The service refuses whole batches: nothing would get there.
        """
        if self._checkpoint.lines:
            _say(f"going on after line {self._checkpoint.lines:,}")
        try:
            while chunk := _take_chunk(lines, self._checkpoint.offset):
                self._send(chunk, file_time)
        except KeyboardInterrupt:
            _say("interrupted; run the same command again to go on")
            raise
        finally:
            # What is queued now is no loss: the next run has it.
            self._stopped = self._stopped or UndeliveredError("interrupted")
            self._client.shutdown(timeout=0)
        return self._finish()

    def _send(self, chunk: list[Line], file_time: datetime) -> None:
        for line in chunk:
            self._capture(line, file_time)
        while self._client.flush(_PATIENCE_S).queued:
            self._tell("waiting for the service")
        if self._stopped is not None:
            raise HeadwaterError(
                f"stopped before line {chunk[0].number}: {self._stopped}"
            )
        self._settle(chunk[-1])

    def _capture(self, line: Line, file_time: datetime) -> None:
        self._line = line.number
        event = line.event
        if isinstance(event, RecordError):
            self._fail(str(event), 1)
            return
        self._client.capture(
            event.distinct_id,
            event.event,
            event.properties,
            groups=event.groups,
            timestamp=_read_time(event, file_time),
            event_id=event.event_id or line.event_id,
        )

    def _note(self, error: ReportedError, events: list[CapturedEvent]) -> None:
        if self._stopped is not None:
            return
        if isinstance(error, BatchRefusedError | UnconfirmedError):
            self._stopped = error
        elif isinstance(error, LossError):
            # Not yet captured, or refused by the service: the first have no events.
            self._fail(str(error), len(events) or 1)
        else:
            _say(str(error))

    def _fail(self, why: str, count: int) -> None:
        self._failed += count
        if self._failed <= _SHOWN_FAULTS:
            _say(f"near line {self._line}: {why}")

    def _settle(self, last: Line) -> None:
        checkpoint = self._checkpoint
        checkpoint.offset, checkpoint.lines = last.end, last.number
        checkpoint.sent = self._before + self._client.stats().delivered
        checkpoint.failed += self._failed
        self._failed = 0
        if self._store is not None:
            self._store.write(checkpoint)
        self._tell()

    def _tell(self, note: str = "") -> None:
        if self._progress is not None:
            self._progress.tell(self._checkpoint.offset, self._checkpoint.sent, note)

    def _finish(self) -> int:
        checkpoint = self._checkpoint
        if self._progress is not None:
            self._progress.finish(checkpoint.offset, checkpoint.sent)
        if self._store is not None:
            self._store.remove()
        sys.stdout.write(f"{checkpoint.sent} events sent, {checkpoint.failed} not\n")
        return 1 if checkpoint.failed else 0


def _take_chunk(lines: Iterator[Line], offset: int) -> list[Line]:
    chunk: list[Line] = []
    for line in islice(lines, _CHUNK_EVENTS):
        chunk.append(line)
        if line.end - offset >= _CHUNK_BYTES:
            break
    return chunk


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        yield sys.stdin.buffer
        return
    with Path(path).open("rb") as file:
        yield file


def _store_of(chosen: argparse.Namespace) -> CheckpointFile | None:
    if chosen.checkpoint is not None:
        return CheckpointFile(chosen.checkpoint)
    if chosen.file == "-":
        return None
    return CheckpointFile(Path(f"{chosen.file}.headwater-import"))


def _progress_of(chosen: argparse.Namespace, found: Checkpoint) -> Progress | None:
    if not chosen.progress:
        return None
    total = None if chosen.file == "-" else Path(chosen.file).stat().st_size
    return Progress(sys.stderr, total, found.offset)


def _time_of(chosen: argparse.Namespace) -> datetime:
    """Returns the time of events that have none: the same at every run."""
    if chosen.file == "-":
        return datetime.now(UTC)
    return datetime.fromtimestamp(Path(chosen.file).stat().st_mtime, UTC)


def _read_time(event: Record, file_time: datetime) -> datetime:
    time = event.timestamp
    if time is None:
        return file_time
    if isinstance(time, datetime):
        return time if time.tzinfo else time.replace(tzinfo=UTC)
    return datetime.fromtimestamp(time / 1000, UTC)


def _say(text: str) -> None:
    sys.stderr.write(f"headwater: {text}\n")
