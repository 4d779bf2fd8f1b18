"""The loop with a sink in memory: what is sent, what is sent again, when it waits."""

import gc
import threading
import weakref
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from uuid import UUID

import pytest
from clickhouse_driver.errors import ServerException

from headwater_ingest.journal import Journal, JournalReader
from headwater_ingest.rows import EVENT_ID
from headwater_ingest.writer import loop as loop_module
from headwater_ingest.writer.block import Insert
from headwater_ingest.writer.control import Control
from headwater_ingest.writer.loop import WriterLoop
from headwater_ingest.writer.progress import Progress, Report
from headwater_ingest.writer.protocol import WriterStatus

YEAR_MS = 366 * 86_400_000

Fill = Callable[..., list[UUID]]
Write = Callable[..., Progress]
Eventually = Callable[[Callable[[], bool]], None]


class MemorySink:
    """Stores rows under their token, like a table with a deduplication window."""

    def __init__(self) -> None:
        self.stored: dict[str, list[UUID]] = {}
        self.calls: list[str] = []
        self.errors: list[Exception | None] = []

    def insert(self, insert: Insert) -> None:
        self.calls.append(insert.token)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        raw = insert.columns[insert.names.index(EVENT_ID)]
        self.stored.setdefault(insert.token, [UUID(bytes=each) for each in raw])

    @property
    def ids(self) -> list[UUID]:
        return [each for ids in self.stored.values() for each in ids]


class Waits(Control):
    """Orders of which the waits are recorded and take no time; the last one stops."""

    def __init__(self, waits: int) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._waits = waits

    def wait(self, seconds: float, *, is_draining: bool) -> None:
        self.seconds.append(seconds)
        if len(self.seconds) == self._waits:
            self.stop()


def run(
    directory: Path,
    sink: MemorySink,
    control: Control,
    *,
    block_age_ms: int = 0,
    report: Report = lambda _: None,
) -> Progress:
    progress = Progress(report)
    with closing(JournalReader(directory)) as reader:
        WriterLoop(
            reader,
            sink,
            control=control,
            progress=progress,
            block_rows=1000,
            block_age_ms=block_age_ms,
            jitter=lambda: 1.0,
        ).run()
    return progress


def test_all_rows_arrive_once_and_in_order(
    journal: Journal, fill: Fill, write: Write, eventually: Eventually
) -> None:
    sink = MemorySink()
    ids = fill(10, rows=7)

    progress = write(sink, block_rows=20)

    assert sink.ids == ids
    assert progress.status.rows_written == 70
    assert progress.status.blocks_written == 5
    eventually(lambda: journal.status().rows_pending == 0)


class LitteringSink(MemorySink):
    """Leaves something in a cycle for each INSERT, as the driver does."""

    def __init__(self) -> None:
        super().__init__()
        self.litter: list[weakref.ref[set[object]]] = []

    def insert(self, insert: Insert) -> None:
        super().insert(insert)
        litter = Litter()
        litter.add(litter)
        self.litter.append(weakref.ref(litter))


class Litter(set[object]):
    """A set that can hold itself."""

    __hash__ = object.__hash__  # type: ignore[assignment]  # as any other object


def test_no_block_leaves_garbage(fill: Fill, write: Write) -> None:
    sink = LitteringSink()
    fill(10, rows=7)
    gc.disable()
    try:
        write(sink, block_rows=20)
    finally:
        gc.enable()
    assert [each() for each in sink.litter] == [None] * 5


def test_tokens_name_the_rows(journal: Journal, fill: Fill, write: Write) -> None:
    sink = MemorySink()
    fill(2, rows=7)

    write(sink, block_rows=7)

    assert sink.calls == [f"{journal.uuid}/1-7", f"{journal.uuid}/8-14"]


def test_history_is_cut_by_year(fill: Fill, write: Write) -> None:
    sink = MemorySink()
    ids = fill(2, rows=3, times=[1_600_000_000_000 + n * YEAR_MS for n in range(3)])

    write(sink)

    assert [call.rpartition("/")[2] for call in sink.calls] == ["2020", "2021", "2022"]
    assert sorted(sink.ids) == sorted(ids)


def test_a_failed_block_is_sent_again_unchanged(fill: Fill, write: Write) -> None:
    sink = MemorySink()
    sink.errors = [EOFError(), None, ConnectionResetError(), None]
    ids = fill(4, rows=5)

    progress = write(sink, block_rows=10)

    first, second = dict.fromkeys(sink.calls)
    assert sink.calls == [first, first, second, second]
    assert sink.ids == ids
    assert progress.status.failures == 2


def test_only_the_years_that_failed_make_a_difference(fill: Fill, write: Write) -> None:
    sink = MemorySink()
    sink.errors = [None, EOFError()]
    ids = fill(1, rows=3, times=[1_600_000_000_000 + n * YEAR_MS for n in range(3)])

    write(sink)

    years = [call.rpartition("/")[2] for call in sink.calls]
    assert years == ["2020", "2021", "2020", "2021", "2022"]
    assert sink.ids == ids


def test_a_block_that_was_sent_before_a_crash_keeps_its_token(
    tmp_path: Path, fill: Fill, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = MemorySink()
    ids = fill(2, rows=5)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt  # which no handler of ours takes for an error

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(JournalReader, "checkpoint", crash)
        write(sink)
    ids += fill(2, rows=5)
    write(sink)

    assert len(sink.calls) == 3
    assert sink.calls[0] == sink.calls[1]
    assert sink.ids == ids


def test_the_wait_doubles_up_to_a_bound(tmp_path: Path, fill: Fill) -> None:
    fill(1)
    sink, control = MemorySink(), Waits(9)
    sink.errors = [EOFError() for _ in range(20)]

    progress = run(tmp_path, sink, control)

    assert control.seconds == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5]
    assert progress.status.state == "retrying"
    assert progress.status.rows_written == 0


def test_the_wait_is_short_again_after_a_success(tmp_path: Path, fill: Fill) -> None:
    fill(1)
    sink, control = MemorySink(), Waits(4)
    sink.errors = [EOFError(), EOFError(), None]

    progress = run(tmp_path, sink, control)

    assert control.seconds == [0.1, 0.2, loop_module.POLL_S, loop_module.POLL_S]
    assert progress.status.state == "running"
    assert progress.status.last_error is None


@pytest.mark.parametrize(
    "error", [ServerException("no such table", 60), ServerException("what?", 98765)]
)
def test_what_only_somebody_can_end_is_tried_slowly_and_nothing_is_skipped(
    tmp_path: Path, journal: Journal, fill: Fill, error: Exception
) -> None:
    fill(1)
    sink, control = MemorySink(), Waits(3)
    sink.errors = [error] * 3

    progress = run(tmp_path, sink, control)

    assert control.seconds == [loop_module.HOPELESS_RETRY_S] * 3
    assert len(set(sink.calls)) == 1
    assert journal.status().rows_pending == 10
    assert progress.status.last_error is not None


def test_rows_that_make_no_sense_are_reported(
    tmp_path: Path, journal: Journal, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(1)
    monkeypatch.setattr(JournalReader, "read", lambda *_: [b"\xc1"])

    progress = run(tmp_path, MemorySink(), Waits(1))

    assert progress.status.last_error is not None
    assert progress.status.last_error.kind == "rejected"
    assert journal.status().rows_pending == 10


def test_a_drain_that_cannot_write_ends_at_its_deadline(
    fill: Fill, write: Write
) -> None:
    sink = MemorySink()
    sink.errors = [EOFError()] * 1000
    fill(1)

    progress = write(sink, timeout_s=0.6)

    assert progress.status.rows_written == 0
    assert len(sink.calls) >= 2


def test_a_drain_that_comes_when_rows_were_too_young_writes_them(
    tmp_path: Path, fill: Fill
) -> None:
    sink, control = MemorySink(), Control()
    ids = fill(2)

    run(
        tmp_path,
        sink,
        control,
        block_age_ms=YEAR_MS,
        report=lambda _: control.drain(60),  # as soon as it says that it runs
    )

    assert sink.ids == ids


def test_rows_that_come_later_are_written_within_their_age(
    tmp_path: Path, fill: Fill, eventually: Eventually
) -> None:
    sink, control = MemorySink(), Control()
    statuses: list[WriterStatus] = []

    def loop() -> None:
        with closing(JournalReader(tmp_path)) as reader:
            WriterLoop(
                reader,
                sink,
                control=control,
                progress=Progress(statuses.append),
                block_rows=1_000_000,
                block_age_ms=100,
            ).run()

    thread = threading.Thread(target=loop)
    thread.start()
    ids = fill(2)
    eventually(lambda: sink.ids == ids)
    ids += fill(4)
    eventually(lambda: sink.ids == ids)
    eventually(lambda: statuses[-1].rows_written == 60)
    control.stop()
    thread.join(10)

    assert not thread.is_alive()
