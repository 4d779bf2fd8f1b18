"""Keeps the status of one writer, and reports it.

A change of state is reported at once, the counts a few times per second.
"""

import time
from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from headwater_ingest.writer.classify import Failure
from headwater_ingest.writer.protocol import WriterStatus

REPORT_EVERY_S: Final = 0.25

Report = Callable[[WriterStatus], object]


class Progress:
    """The status of one writer. For the thread that writes.

    Attributes:
        status: How the writer is now.
    """

    def __init__(
        self, report: Report, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with nothing done.

        Args:
            report: Is called with a status that is worth telling.
            monotonic: Seconds.
        """
        self._report = report
        self._monotonic = monotonic
        self._reported = WriterStatus()
        self._reported_at = -REPORT_EVERY_S
        self.status = self._reported

    def note_block(self, rows: int, *, dead: int = 0) -> None:
        """Note that a block is gone from the journal.

        Args:
            rows: How many of its rows are in ClickHouse.
            dead: How many are dead letters.
        """
        self._change(
            rows_written=self.status.rows_written + rows,
            rows_dead=self.status.rows_dead + dead,
            blocks_written=self.status.blocks_written + 1,
        )

    def note_insert(self, seconds: float) -> None:
        """Note how long an INSERT took, whether it failed or not."""
        self._change(insert_seconds=self.status.insert_seconds + seconds)

    def note_failure(self, failure: Failure) -> None:
        """Note that an attempt failed and will be made again."""
        self._change(
            state="retrying", last_error=failure, failures=self.status.failures + 1
        )
        self.tell()

    def note_running(self) -> None:
        """Note that nothing is wrong."""
        self._change(state="running", last_error=None)
        self.tell()

    def note_stopped(self) -> None:
        """Note that no more will come."""
        self._change(state="stopped", last_error=None)
        self.tell()

    def tell(self) -> None:
        """Report what has changed, unless it is too soon for mere counts."""
        if self.status == self._reported:
            return
        now = self._monotonic()
        is_news = (self.status.state, self.status.last_error) != (
            self._reported.state,
            self._reported.last_error,
        )
        if is_news or now - self._reported_at >= REPORT_EVERY_S:
            self._reported, self._reported_at = self.status, now
            self._report(self.status)

    def _change(self, **changes: Any) -> None:
        self.status = replace(self.status, **changes)
