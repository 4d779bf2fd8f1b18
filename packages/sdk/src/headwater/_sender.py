"""The sending thread: carries batches to the server, one at a time.

All state is in the `Delivery`, whose owner is the lock of this module. The network,
the application's `on_error` and the log are only ever touched with the lock free.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from headwater import _lifecycle
from headwater._batch import FrozenBatch, compress
from headwater._delivery import Delivery, Report
from headwater._errors import (
    LossError,
    PropertyRefusedError,
    TransportError,
    UnavailableError,
)
from headwater._queue import Ticket
from headwater._reporter import Reporter, logger
from headwater._results import FlushResult, Stats
from headwater._settings import Settings
from headwater._transport import Request, Transport
from headwater._verdict import TryAgain, Verdict, judge
from headwater._version import SDK_NAME, __version__
from headwater_schema.ids import new_batch_id

_LONGEST_WAIT_S: Final = 3600.0


class Sender:
    """Owns the queue of a client, its lock and its thread.

    The thread starts with the first event and is a daemon. It knows nothing of the
    `Client`, so a client that is dropped can be collected, and its sender ends.
    """

    def __init__(
        self, settings: Settings, transport: Transport, reporter: Reporter
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._reporter = reporter
        self._start_afresh()
        _lifecycle.watch(self)

    def _start_afresh(self) -> None:
        # Reentrant, since a signal handler or a finaliser may capture an event on
        # the very thread that holds it.
        self._lock = threading.RLock()
        self._wake = threading.Condition(self._lock)
        self._settled = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._is_stopped = False
        self._is_transport_closed = False
        self._is_reporting = False
        self._rounds_when_retired: int | None = None
        self._delivery = Delivery(
            self._settings, new_batch_id=new_batch_id, random=random.random
        )

    @property
    def exit_timeout_s(self) -> float:
        """How long the exit of the process may wait for this sender."""
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
        """Queues an encoded event and returns at once.

        Returns:
            Whether it is queued; if not, that has been reported.
        """
        delivery = self._delivery
        with self._lock:
            pending = delivery.pending
            report = delivery.take(event, time.monotonic())
            if report is None and self._thread is None:
                report = self._start_thread()
            if delivery.has_news_since(pending, len(event)):
                self._wake.notify()
        if report is None:
            return True
        self._report([report])
        return not any(lost is event for lost in report.events)

    def refuse(self, error: LossError) -> None:
        """Counts and reports an event that could not be encoded."""
        with self._lock:
            report = self._delivery.refuse(error)
        self._report([report])

    def report_refused(self, error: PropertyRefusedError, event: bytes) -> None:
        """Counts and reports properties that an event goes without."""
        with self._lock:
            self._delivery.count_refused_properties(len(error.refused))
        self._report([Report(error, (event,))])

    def flush(self, timeout_s: float, *, gives_up: bool) -> FlushResult:
        """Waits until everything queued is settled.

        Args:
            timeout_s: How long to wait at most.
            gives_up: Stop waiting when a delivery has failed after its retries.
        """
        with self._lock, self._ticket() as ticket:
            timed_out = not self._await(ticket, timeout_s, gives_up=gives_up)
            return FlushResult(
                ticket.delivered, ticket.lost, ticket.queued, timed_out=timed_out
            )

    def close(self) -> None:
        """Takes no more events and hurries with those that are there."""
        with self._lock:
            self._delivery.close()
            self._wake.notify()

    def shutdown(self, timeout_s: float, *, gives_up: bool) -> FlushResult:
        """Closes, waits as `flush` does, and gives up what is still queued then."""
        deadline = time.monotonic() + timeout_s
        self.close()
        with self._lock, self._ticket() as ticket:
            timed_out = not self._await(ticket, timeout_s, gives_up=gives_up)
            report = self._delivery.abandon()
            self._is_stopped = True
            self._wake.notify()
            self._settled.notify_all()
        self._report([report] if report else [])
        if self._thread is None:
            self._close_transport()
        self._join(deadline)
        return FlushResult(ticket.delivered, ticket.lost, 0, timed_out=timed_out)

    def retire(self) -> None:
        """Delivers what is queued, by one round at most, and ends the thread.

        Returns at once: this is called when the client is garbage.
        """
        with self._lock:
            self._rounds_when_retired = self._delivery.failed_rounds
            self.close()

    def reset_after_fork(self) -> None:
        """Begins anew in the child; what was queued stays the parent's business."""
        was_closed = self._delivery.is_closed
        self._start_afresh()
        if was_closed:
            self.close()

    @contextmanager
    def _ticket(self) -> Iterator[Ticket]:
        ticket = self._delivery.open_ticket()
        try:
            if ticket.queued and self._thread is None:
                self._start_thread()
            self._wake.notify()
            yield ticket
        finally:
            self._delivery.close_ticket(ticket)

    def _await(self, ticket: Ticket, timeout_s: float, *, gives_up: bool) -> bool:
        rounds = self._delivery.failed_rounds
        if self._thread is threading.current_thread():
            # Called by on_error: who waits here for the sender waits for himself.
            timeout_s = 0.0

        def is_over() -> bool:
            if self._thread is None:
                return True
            has_failed = gives_up and self._delivery.failed_rounds > rounds
            # Who waits wants to have been told of the faults when it is over.
            return (not ticket.queued or has_failed) and not self._is_reporting

        # This order of comparisons makes 0 of a NaN.
        timeout_s = max(0.0, min(timeout_s, threading.TIMEOUT_MAX))
        return self._settled.wait_for(is_over, timeout_s)

    def _join(self, deadline: float) -> None:
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))

    def _start_thread(self) -> Report | None:
        thread = threading.Thread(
            target=self._run, name="headwater-sender", daemon=True
        )
        # A signal handler that captures may have started one since the caller looked.
        if self._thread is not None:
            return None
        self._thread = thread
        try:
            thread.start()
        except RuntimeError as error:
            self._thread = None
            why = f"cannot start a thread: {error}; the next event tries again"
            return Report(UnavailableError(why), ())
        _lifecycle.watch_process_end()
        return None

    def _run(self) -> None:
        try:
            self._work()
        finally:
            # Whatever has ended the thread: nobody waits for it, and a next one may.
            with self._lock:
                self._thread = None
                self._settled.notify_all()

    def _work(self) -> None:
        while (batch := self._await_batch()) is not None:
            verdict = self._attempt(batch)
            with self._lock:
                was_failing = self._delivery.is_failing
                reports = self._delivery.conclude(batch, verdict, time.monotonic())
                is_failing = self._delivery.is_failing
                self._is_reporting = True
            if was_failing and not is_failing:
                self._reporter.announce_recovery()
            self._report(reports)
            with self._lock:
                self._is_reporting = False
                self._settled.notify_all()
        self._close_transport()

    def _await_batch(self) -> FrozenBatch | None:
        """Returns the next batch when it is due, or None when it is time to end."""
        with self._lock:
            while not self._is_stopped:
                if self._is_retired:
                    break
                wait_s = self._delivery.wait_s(time.monotonic())
                if wait_s == 0:
                    return self._delivery.next_batch()
                self._wake.wait(
                    None if wait_s is None else min(wait_s, _LONGEST_WAIT_S)
                )
            report = self._delivery.abandon()
        self._report([report] if report else [])
        return None

    @property
    def _is_retired(self) -> bool:
        rounds = self._rounds_when_retired
        return rounds is not None and (
            not self._delivery.queued or self._delivery.failed_rounds > rounds
        )

    def _attempt(self, batch: FrozenBatch) -> Verdict:
        try:
            response = self._transport.send(self._request(batch))
        except TransportError as error:
            return TryAgain(str(error))
        except Exception as error:  # noqa: BLE001 - supervised: a transport is foreign code
            return TryAgain(f"{type(error).__name__}: {error}")
        return judge(response, time.time())

    def _request(self, batch: FrozenBatch) -> Request:
        body = batch.encode(time.time_ns() // 1_000_000)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"{SDK_NAME}/{__version__}",
            "X-Headwater-Key": self._settings.write_key,
        }
        compressed = compress(body) if self._settings.gzip else None
        if compressed is None:
            return Request(headers, body)
        return Request({**headers, "Content-Encoding": "gzip"}, compressed)

    def _close_transport(self) -> None:
        with self._lock:
            if self._is_transport_closed:
                return
            self._is_transport_closed = True
        try:
            self._transport.close()
        except Exception:  # noqa: BLE001 - a transport is foreign code
            logger.exception("the transport cannot be closed")

    def _report(self, reports: list[Report]) -> None:
        for report in reports:
            self._reporter.report(report.error, report.events)
