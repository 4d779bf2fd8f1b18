"""What the thread of `Client` and the task of `AsyncClient` have in common.

All state is in the `Delivery`, whose owner is the lock of this module. The network, the
disk, the application's `on_error` and the log are only touched with the lock free.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

from headwater._batch import FrozenBatch
from headwater._chore import Chore
from headwater._delivery import Delivery, Report
from headwater._errors import LossError, PropertyRefusedError
from headwater._queue import Ticket
from headwater._reporter import Reporter
from headwater._request_maker import RequestMaker
from headwater._results import FlushResult, Stats
from headwater._settings import Settings
from headwater._spool_port import Spool
from headwater._spooler import Spooler
from headwater._verdict import Verdict
from headwater_schema.new_ids import new_batch_id

_LONGEST_WAIT_S: Final = 3600.0
_getpid: Final = os.getpid


class Driver:
    """Owns the queue of a client and its lock; a subclass does the sending.

    It knows nothing of the client, so a client that is dropped can be collected.

    Args:
        settings: The options of the client.
        reporter: Tells the application of faults.
        spool: Keeps what cannot be delivered.
        delivery: What another driver leaves to this one.
    """

    def __init__(
        self,
        settings: Settings,
        reporter: Reporter,
        spool: Spool | None,
        delivery: Delivery | None = None,
    ) -> None:
        self._settings = settings
        self._reporter = reporter
        self._spool = spool
        self._make_request = RequestMaker(settings).make
        self._block_s = settings.block_s
        self._trigger = settings.batch_trigger
        self._max_batch_bytes = settings.max_batch_bytes
        self._begin(delivery or self._new_delivery())

    def _begin(self, delivery: Delivery) -> None:
        self._pid = _getpid()
        # Reentrant, since a signal handler or a finaliser may capture an event on
        # the very thread that holds it.
        self._lock = threading.RLock()
        self._settled = threading.Condition(self._lock)
        self._runner: object | None = None
        """The thread or task that sends, while there is one."""
        self._is_stopped = False
        self._is_reporting = False
        self._rounds_when_retired: int | None = None
        self._delivery = delivery
        self._backlog = delivery.backlog
        self._spooler = Spooler(self._spool, delivery, self._lock)

    def _new_delivery(self) -> Delivery:
        return Delivery(self._settings, new_batch_id=new_batch_id, random=random.random)

    @property
    def exit_timeout_s(self) -> float:
        """How long the exit of the process may wait for this driver."""
        return self._settings.exit_timeout

    @property
    def queued(self) -> int:
        """How many events are not settled."""
        return self._delivery.queued

    @property
    def stats(self) -> Stats:
        """What became of all events so far."""
        with self._lock:
            return self._delivery.stats

    def put(self, event: bytes) -> bool:
        """Queues an encoded event and returns at once, if it may not block.

        Returns:
            Whether it is queued; if not, that has been reported.
        """
        # A fork that C code made has told nobody.
        if self._pid != _getpid():
            self.reset_after_fork()
        backlog = self._backlog
        queue = backlog.queue
        with self._lock:
            if self._block_s:
                self._await_room(event)
            pending = queue.pending
            report = self._delivery.take(event, monotonic())
            if report is None and self._runner is None:
                report = self._start()
            # Most often this alone says that there are none.
            if (
                not pending
                or queue.pending == self._trigger
                or queue.pending_bytes >= self._max_batch_bytes
            ) and backlog.has_news_since(pending, len(event)):
                self._notify()
        if report is None:
            return True
        self._report([report])
        return not any(lost is event for lost in report.events)

    def refuse(self, error: LossError, events: Sequence[bytes] = ()) -> None:
        """Counts and reports an event that cannot be queued."""
        with self._lock:
            report = self._delivery.refuse(error, events)
        self._report([report])

    def filter_out(self) -> None:
        """Counts an event that the application held back."""
        with self._lock:
            self._delivery.filter_out()

    def report_refused(self, error: PropertyRefusedError, event: bytes) -> None:
        """Counts and reports properties that an event goes without."""
        with self._lock:
            self._delivery.count_refused_properties(len(error.refused))
        self._report([Report(error, (event,))])

    def flush(self, timeout_s: float, *, gives_up: bool) -> FlushResult:
        """Waits until everything queued is settled, on a thread that may.

        Args:
            timeout_s: How long to wait at most.
            gives_up: Stop waiting when a delivery has failed after its retries.
        """
        self._check_process()
        with self._lock:
            ticket = self._open_ticket()
            try:
                is_over = self._await_ticket(ticket, timeout_s, gives_up=gives_up)
            finally:
                self._close_ticket(ticket)
            return ticket.result(timed_out=not is_over)

    def close(self) -> None:
        """Takes no more events and hurries with those that are there."""
        with self._lock:
            self._delivery.close()
            self._settled.notify_all()
            self._notify()

    def retire(self) -> None:
        """Delivers what is queued, by one round at most, and ends.

        Returns at once: this is called when the client is garbage.
        """
        with self._lock:
            self._rounds_when_retired = self._delivery.failed_rounds
            self.close()

    def reset_after_fork(self) -> None:
        """Begins anew in the child; what was queued stays the parent's business."""
        was_closed = self._delivery.is_closed
        self._begin(self._new_delivery())
        if was_closed:
            self.close()

    @property
    def _is_running(self) -> bool:
        return self._runner is not None

    def _start(self) -> Report | None:
        """Begins to send; the lock is held. Returns what is wrong, if it cannot."""
        raise NotImplementedError

    def _notify(self) -> None:
        """Has `_next_step` asked again; the lock is held."""
        raise NotImplementedError

    def _is_me(self) -> bool:
        """Whether the caller is the one who sends, and so may wait for nothing."""
        raise NotImplementedError

    def _check_process(self) -> None:
        if self._pid != _getpid():
            self.reset_after_fork()

    def _open_ticket(self) -> Ticket:
        """Hurries with all that is queued; the lock is held."""
        ticket = self._delivery.open_ticket()
        if ticket.queued and not self._is_running:
            self._start()
        self._notify()
        return ticket

    def _close_ticket(self, ticket: Ticket) -> None:
        with self._lock:
            self._delivery.close_ticket(ticket)

    def _await_ticket(
        self, ticket: Ticket, timeout_s: float, *, gives_up: bool
    ) -> bool:
        is_over = self._is_over(ticket, gives_up=gives_up)
        if self._is_me():
            # Called by on_error: who waits here for the sender waits for himself.
            timeout_s = 0.0
        # This order of comparisons makes 0 of a NaN.
        timeout_s = max(0.0, min(timeout_s, threading.TIMEOUT_MAX))
        return self._settled.wait_for(is_over, timeout_s)

    def _is_over(self, ticket: Ticket, *, gives_up: bool) -> Callable[[], bool]:
        rounds = self._delivery.failed_rounds

        def is_over() -> bool:
            if not self._is_running:
                return True
            has_failed = gives_up and self._delivery.failed_rounds > rounds
            # Who waits wants to have been told of the faults when it is over.
            return (not ticket.queued or has_failed) and not self._is_reporting

        return is_over

    def _await_room(self, event: bytes) -> None:
        if not self._delivery.has_room(event) and not self._is_me():
            self._settled.wait_for(
                lambda: self._delivery.has_room(event), self._block_s
            )

    def _next_step(self) -> FrozenBatch | Chore | float:
        """Returns what to do next, or how long to wait; the lock is held."""
        backlog = self._backlog
        if self._is_stopped or self._is_retired:
            return Chore.STOP
        now = monotonic()
        waits = [backlog.spill_wait_s(now), backlog.wait_s(now)]
        if waits[0] == 0:
            return Chore.SPILL
        if backlog.wants_restore:
            return Chore.RESTORE
        if waits[1] == 0:
            return backlog.next_batch()
        return min([_LONGEST_WAIT_S, *(wait for wait in waits if wait is not None)])

    @property
    def _is_retired(self) -> bool:
        rounds = self._rounds_when_retired
        return rounds is not None and (
            not self._delivery.queued or self._delivery.failed_rounds > rounds
        )

    def _conclude(self, batch: FrozenBatch, verdict: Verdict) -> None:
        """Draws the consequences of an attempt, and tells of them."""
        with self._lock:
            was_failing = self._backlog.is_failing
            reports = self._delivery.conclude(batch, verdict, monotonic())
            is_failing = self._backlog.is_failing
            self._is_reporting = True
        if was_failing and not is_failing:
            self._reporter.announce_recovery()
        self._report(reports)
        with self._lock:
            self._is_reporting = False
            self._settled.notify_all()

    def _spill(self) -> None:
        """Puts everything queued on disk, but for what cannot be kept there."""
        self._spooler.spill()
        with self._lock:
            self._settled.notify_all()

    def _let_go(self) -> None:
        """Puts on disk what is still queued, and gives up the rest."""
        self._spill()
        with self._lock:
            report = self._delivery.abandon()
            self._settled.notify_all()
        self._report([report] if report else [])
        self._spooler.close()

    def _report(self, reports: list[Report]) -> None:
        for report in reports:
            self._reporter.report(report.error, report.events)
