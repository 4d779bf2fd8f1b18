"""The commit thread: many entries, one sync of the disk.

Entries wait in a queue. The thread takes what is there, up to a bound, writes it in one
transaction and wakes the loop once for all of them. There is no delay to collect more:
whatever comes during one sync goes into the next group, so groups grow with the load.

When the disk refuses a group, all of it is refused. The thread then tries once a second
whether the disk takes something, until it does.
"""

import asyncio
import contextlib
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

import msgspec
import structlog

from headwater_ingest.clock import Clock
from headwater_ingest.errors import JournalError
from headwater_ingest.journal.counts import Count, CountBuffer, Tally
from headwater_ingest.journal.database import explain
from headwater_ingest.journal.entry import Entry, Receipt
from headwater_ingest.journal.group import GroupBuilder
from headwater_ingest.journal.store import Backlog, Store

MAX_GROUP_ROWS: Final = 10_000
MAX_GROUP_BYTES: Final = 8 * 1024 * 1024

_TICK_S: Final = 0.2  # age of what is shown as pending when nothing is committed
_PROBE_S: Final = 1.0
_FATES_S: Final = 1.0
_OWN_FAULTS: Final = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
"""Signals that a thread raises itself; blocked, they end the process without a word."""

_log = structlog.stdlib.get_logger(__name__)
_T = TypeVar("_T")

OnCommit = Callable[[float, int], object]
"""Is told the seconds that a group took and how many entries it had."""


class _Append(msgspec.Struct, frozen=True):
    """An entry that waits for the disk."""

    entry: Entry
    future: asyncio.Future[Receipt]


class _Look(msgspec.Struct, frozen=True):
    """Something to be read from the store."""

    read: Callable[[Store], Any]
    future: asyncio.Future[Any]


_Settled = tuple[_Append | _Look, Any]  # with its result, or an exception


class CommitThread:
    """Owns the store from `start` to `stop`.

    Attributes:
        fates: What had become of rows a second ago.
        problem: Why the disk refuses; None while it does not.
        waiting_bytes: What waits in the queue; the loop's.
    """

    def __init__(
        self, store: Store, *, path: Path, clock: Clock, on_commit: OnCommit
    ) -> None:
        self._store = store
        self._path = path
        self._clock = clock
        self._on_commit = on_commit
        self._counts = CountBuffer()
        self._queue: SimpleQueue[_Append | _Look | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._is_stopping = False
        self._probe_at = 0.0
        self._backlog_at = self._fates_at = 0.0
        self.fates: Tally = store.read_fates()
        self.problem: JournalError | None = None
        self.waiting_bytes = 0

    @property
    def backlog(self) -> Backlog:
        """What is pending, less what the writer has let go within the last tick."""
        return self._store.backlog

    def start(self) -> None:
        """Begin to commit."""
        self._thread.start()

    def append(self, entry: Entry) -> asyncio.Future[Receipt]:
        """Queue an entry. The future is done once it is on disk, or refused."""
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self.waiting_bytes += entry.size
        self._queue.put(_Append(entry, future))
        return future

    def look(self, read: Callable[[Store], _T]) -> asyncio.Future[_T]:
        """Queue something to be read, after what was queued before."""
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._queue.put(_Look(read, future))
        return future

    def count(self, count: Count) -> None:
        """Count events that leave no rows, with the next commit."""
        self._counts.add(count)

    def flush_counts(self) -> asyncio.Future[None]:
        """Commit what is counted by now. The future is done once it is on disk."""
        return self.look(lambda _store: self._write_counts())

    def stop(self, timeout_s: float) -> bool:
        """Commit what is queued, close the store, and return whether that is done."""
        self._queue.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        # A signal that interrupts the wait for entries when its time is over, as it may
        # after a stop of the process, makes CPython wait on for ever (3.11, in
        # `SimpleQueue.get`), and what is shown as pending would stay as it is.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _OWN_FAULTS)
        while not self._is_stopping:
            items = self._collect()
            settled = self._commit(
                [each for each in items if isinstance(each, _Append)]
            )
            looks = [each for each in items if isinstance(each, _Look)]
            settled += [self._read(each) for each in looks]
            if looks or time.monotonic() >= self._backlog_at:
                self._refresh()
            self._deliver(settled)
        with contextlib.suppress(sqlite3.Error):  # the disk is broken, as was said
            self._write_counts()
        self._store.close()

    def _collect(self) -> list[_Append | _Look]:
        """Return what is queued, within the bounds; after a tick also nothing."""
        items: list[_Append | _Look] = []
        rows = size = 0
        wait_s = _TICK_S
        while rows < MAX_GROUP_ROWS and size < MAX_GROUP_BYTES:
            try:
                item = self._queue.get(timeout=wait_s)
            except Empty:
                break
            if item is None:
                self._is_stopping = True
                break
            items.append(item)
            wait_s = 0
            if isinstance(item, _Append):
                rows += item.entry.row_count
                size += item.entry.size
        return items

    def _commit(self, appends: Sequence[_Append]) -> list[_Settled]:
        if not appends and not self._counts.is_due():
            return []
        started = time.perf_counter()
        try:
            receipts = self._write(each.entry for each in appends)
            if appends:
                self._on_commit(time.perf_counter() - started, len(appends))
        except sqlite3.Error as error:
            self._note_refusal(error)
            return [(each, explain(error, self._path)) for each in appends]
        except Exception as error:  # noqa: BLE001  # supervised: the thread outlives it
            return [(each, error) for each in appends]
        return list(zip(appends, receipts, strict=True))

    def _write(self, entries: Iterable[Entry]) -> list[Receipt]:
        counts = self._counts.take()
        builder = GroupBuilder(self._store.window, self._store.read_answer, counts)
        try:
            receipts = [builder.add(entry) for entry in entries]
            group = builder.finish()
            if not group.is_empty:
                self._store.write(group, self._clock())
                self._note_success()
        except BaseException:
            self._counts.give_back(counts)
            raise
        return receipts

    def _write_counts(self) -> None:
        self._write(())

    def _read(self, look: _Look) -> _Settled:
        try:
            return look, look.read(self._store)
        except sqlite3.Error as error:
            return look, explain(error, self._path)
        except Exception as error:  # noqa: BLE001  # supervised: the thread outlives it
            return look, error

    def _refresh(self) -> None:
        """See how much is pending and, after a refusal, whether the disk is back."""
        try:
            self._store.read_backlog()
            self._backlog_at = time.monotonic() + _TICK_S
            if time.monotonic() >= self._fates_at:
                self.fates = self._store.read_fates()
                self._fates_at = time.monotonic() + _FATES_S
            if self.problem is not None and time.monotonic() >= self._probe_at:
                self._store.probe()
                self._note_success()
        except sqlite3.Error as error:
            self._note_refusal(error)

    def _note_refusal(self, error: sqlite3.Error) -> None:
        if self.problem is None:
            _log.error("journal unwritable", problem=str(explain(error, self._path)))
        self.problem = explain(error, self._path)
        self._probe_at = time.monotonic() + _PROBE_S

    def _note_success(self) -> None:
        if self.problem is not None:
            _log.info("journal writable again")
        self.problem = None

    def _deliver(self, settled: list[_Settled]) -> None:
        """Wake the loop, once for all."""
        if not settled:
            return
        loop = settled[0][0].future.get_loop()
        with contextlib.suppress(RuntimeError):  # it is closed: nobody waits any more
            loop.call_soon_threadsafe(self._settle, settled)

    def _settle(self, settled: list[_Settled]) -> None:
        for item, result in settled:
            if isinstance(item, _Append):
                self.waiting_bytes -= item.entry.size
            if item.future.done():  # cancelled: who asked has gone
                continue
            if isinstance(result, Exception):
                item.future.set_exception(result)
            else:
                item.future.set_result(result)
