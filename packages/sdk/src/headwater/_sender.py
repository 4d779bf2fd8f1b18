"""The sending thread of `Client`: carries batches to the server, one at a time."""

from __future__ import annotations

import threading
import time

from headwater import _lifecycle
from headwater._batch import FrozenBatch
from headwater._chore import Chore
from headwater._delivery import Delivery, Report
from headwater._driver import Driver
from headwater._errors import TransportError, UnavailableError
from headwater._http import HttpTransport
from headwater._reporter import Reporter, logger
from headwater._results import FlushResult
from headwater._settings import Settings
from headwater._spool_port import Spool
from headwater._transport import Transport
from headwater._verdict import TryAgain, Verdict, judge


class Sender(Driver):
    """Sends from a daemon thread that starts with the first event.

    With a spool it starts at once: an earlier process may have left something.
    """

    def __init__(
        self,
        settings: Settings,
        transport: Transport,
        reporter: Reporter,
        *,
        spool: Spool | None = None,
        delivery: Delivery | None = None,
    ) -> None:
        self._transport = transport
        super().__init__(settings, reporter, spool, delivery)
        _lifecycle.watch(self)
        if spool is not None and delivery is None:
            with self._lock:
                self._start()

    def _begin(self, delivery: Delivery) -> None:
        super()._begin(delivery)
        self._wake = threading.Condition(self._lock)
        self._runner: threading.Thread | None = None
        self._is_transport_closed = False

    def shutdown(self, timeout_s: float, *, gives_up: bool) -> FlushResult:
        """Closes, waits as `flush` does, and lets go of what is still queued then."""
        self._check_process()
        deadline = time.monotonic() + timeout_s
        self.close()
        with self._lock:
            ticket = self._open_ticket()
            is_over = self._await_ticket(ticket, timeout_s, gives_up=gives_up)
        if ticket.queued and not self._is_running:
            self._work_here(deadline)
        with self._lock:
            self._is_stopped = True
            self._notify()
        self._let_go()
        self._close_ticket(ticket)
        if self._runner is None:
            self._close_transport()
        self._join(deadline)
        return ticket.result(timed_out=not is_over)

    def deliver_last(self, timeout_s: float) -> None:
        """Does the last deliveries of the process."""
        self.shutdown(timeout_s, gives_up=True)

    def _is_me(self) -> bool:
        return self._runner is threading.current_thread()

    def _notify(self) -> None:
        self._wake.notify()

    def _join(self, deadline: float) -> None:
        thread = self._runner
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))

    def _start(self) -> Report | None:
        thread = threading.Thread(
            target=self._run, name="headwater-sender", daemon=True
        )
        # A signal handler that captures may have started one since the caller looked.
        if self._runner is not None:
            return None
        self._runner = thread
        try:
            thread.start()
        except RuntimeError as error:
            self._runner = None
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
                self._runner = None
                self._settled.notify_all()

    def _work(self) -> None:
        while (step := self._await_step()) is not Chore.STOP:
            self._do(step)
        self._let_go()
        self._close_transport()

    def _await_step(self) -> FrozenBatch | Chore:
        with self._lock:
            while isinstance(step := self._next_step(), float):
                self._wake.wait(step)
        return step

    def _do(self, step: FrozenBatch | Chore) -> None:
        if step is Chore.SPILL:
            self._spill()
        elif step is Chore.RESTORE:
            self._spooler.restore()
        elif isinstance(step, FrozenBatch):
            self._conclude(step, self._attempt(step))
            self._spooler.forget_settled()

    def _work_here(self, deadline: float) -> None:
        """Sends on this thread where no other can be started, as at a late exit."""
        rounds = self._delivery.failed_rounds
        while self._delivery.failed_rounds == rounds:
            rest_s = deadline - time.monotonic()
            with self._lock:
                step = self._next_step()
            if rest_s <= 0 or step is Chore.STOP or not self._delivery.queued:
                break
            if isinstance(step, float):
                time.sleep(min(step, rest_s))
            else:
                if isinstance(self._transport, HttpTransport):
                    self._transport.limit(rest_s)
                self._do(step)

    def _attempt(self, batch: FrozenBatch) -> Verdict:
        try:
            response = self._transport.send(self._make_request(batch))
        except TransportError as error:
            return TryAgain(str(error))
        except Exception as error:  # noqa: BLE001 - supervised: a transport is foreign code
            return TryAgain(f"{type(error).__name__}: {error}")
        return judge(response, time.time())

    def _close_transport(self) -> None:
        with self._lock:
            if self._is_transport_closed:
                return
            self._is_transport_closed = True
        try:
            self._transport.close()
        except Exception:  # noqa: BLE001 - a transport is foreign code
            logger.exception("the transport cannot be closed")
