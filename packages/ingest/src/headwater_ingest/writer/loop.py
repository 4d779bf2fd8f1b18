"""The writer's loop: block, INSERT, archive, checkpoint; and again if that fails.

A block leaves the journal only after ClickHouse has confirmed it. A crash anywhere in
between means that it is sent once more, unchanged and under its token, which ClickHouse
then knows. Rows that ClickHouse will not take become dead letters. If it takes none,
the block stays at the head of the journal, loudly, and the journal goes on taking
events until it is full.
"""

import gc
import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from headwater_ingest.archive import ArchiveWriter
from headwater_ingest.journal import Block, DeadLetter, Verdict
from headwater_ingest.journal.counts import Tally
from headwater_ingest.rows import decode_rows
from headwater_ingest.writer.bisect import Bisection, Limits, Sink
from headwater_ingest.writer.block import make_counter_insert, make_inserts
from headwater_ingest.writer.classify import FailureKind, classify
from headwater_ingest.writer.control import Control
from headwater_ingest.writer.progress import Progress

FIRST_RETRY_S: Final = 0.1
LONGEST_RETRY_S: Final = 5.0
HOPELESS_RETRY_S: Final = 30.0
"""After a rejection or a fatal error, which only somebody's action ends."""

DRAIN_RETRY_S: Final = 0.25
POLL_S: Final = 0.05


class BlockSource(Protocol):
    """Where blocks come from. `JournalReader` is one."""

    def next_block(self, max_rows: int, max_age_ms: int) -> Block | None:
        """Return the block to send; the same one until its checkpoint."""
        ...

    def read(self, block: Block) -> list[bytes]:
        """Return its rows, as they were encoded."""
        ...

    def read_counts(self, block: Block) -> dict[int, Tally]:
        """Return what became of events, by minute."""
        ...

    def read_verdicts(self) -> Mapping[str, Verdict]:
        """Return what became of its INSERTs that were refused, by token."""
        ...

    def add_verdict(self, token: str, error: str | None) -> Verdict:
        """Put on disk what becomes of one."""
        ...

    def checkpoint(self, block: Block, dead: Sequence[DeadLetter]) -> None:
        """Let it go."""
        ...


class WriterLoop:
    """Moves rows from a source to a sink until it is told to end. For one thread."""

    def __init__(  # noqa: PLR0913  # its parts, each named
        self,
        source: BlockSource,
        sink: Sink,
        *,
        control: Control,
        progress: Progress,
        block_rows: int,
        block_age_ms: int,
        limits: Limits = Limits(),  # noqa: B008  # immutable
        archive: ArchiveWriter | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Put the loop together.

        Args:
            source: Where blocks come from.
            sink: Where they go.
            control: When to end.
            progress: Is told what happens.
            block_rows: Most rows in a block.
            block_age_ms: Age from which on rows do not wait for more.
            limits: From where on rows are not given up.
            archive: Where rows are kept besides; None: they are not.
            jitter: From 0 to 1, different each time.
        """
        self._source = source
        self._bisection = Bisection(sink, source, limits)
        self._archive = archive
        self._control = control
        self._progress = progress
        self._block_rows = block_rows
        self._block_age_ms = block_age_ms
        self._jitter = jitter
        self._failures_in_a_row = 0

    def run(self) -> None:
        """Write until a stop, or after a drain order until nothing is left."""
        while not self._control.is_stopped:
            # Once per block: an order that comes later finds rows left as too young.
            is_draining = self._control.is_draining
            try:
                has_written = self._write_block(
                    0 if is_draining else self._block_age_ms
                )
            except Exception as error:  # noqa: BLE001  # supervised: all is classified
                self._wait_for_retry(error, is_draining=is_draining)
                continue
            self._failures_in_a_row = 0
            self._progress.note_running()
            if has_written:
                # Columns of clickhouse-driver and their serializations hold each other,
                # some thirty objects per INSERT. Now that the rows are gone, there is
                # little else to look at.
                gc.collect()
            elif is_draining:
                return
            else:
                self._control.wait(POLL_S, is_draining=False)

    def _write_block(self, max_age_ms: int) -> bool:
        """Write one block, or return False when there is none to write yet."""
        block = self._source.next_block(self._block_rows, max_age_ms)
        if block is None:
            return False
        blobs = self._source.read(block)
        sets = [decode_rows(blob) for blob in blobs]
        inserts = make_inserts(sets, block.token)
        if minutes := self._source.read_counts(block):
            inserts.append(make_counter_insert(minutes, block.token))
        dead = self._bisection.send(inserts)
        if self._archive is not None and sets:
            self._archive.append(block.token, blobs, sets)
        self._source.checkpoint(block, dead)
        self._bisection.end_block()
        rows = sum(len(each.event_id) for each in sets)
        self._progress.note_block(rows - len(dead), dead=len(dead))
        return True

    def _wait_for_retry(self, error: Exception, *, is_draining: bool) -> None:
        failure = classify(error)
        self._progress.note_failure(failure)
        delay_s = DRAIN_RETRY_S if is_draining else self._delay_s(failure.kind)
        self._failures_in_a_row += 1
        self._control.wait(delay_s, is_draining=is_draining)

    def _delay_s(self, kind: FailureKind) -> float:
        if kind is not FailureKind.TRANSIENT:
            return HOPELESS_RETRY_S
        # The exponent is bounded too: an outage may last for days.
        longest_s = math.ldexp(FIRST_RETRY_S, min(self._failures_in_a_row, 10))
        return min(longest_s, LONGEST_RETRY_S) * (0.5 + self._jitter() / 2)
