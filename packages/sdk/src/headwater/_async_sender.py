"""The sending task of `AsyncClient`: carries batches to the server, one at a time."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from headwater import _lifecycle
from headwater._batch import FrozenBatch
from headwater._chore import Chore
from headwater._delivery import Delivery, Report
from headwater._driver import Driver
from headwater._errors import TransportError
from headwater._http import HttpTransport
from headwater._queue import Ticket
from headwater._reporter import Reporter, logger
from headwater._results import FlushResult
from headwater._sender import Sender
from headwater._settings import Settings
from headwater._spool_port import Spool
from headwater._transport import AsyncTransport, Request, Response
from headwater._verdict import TryAgain, Verdict, judge

_Loop = asyncio.AbstractEventLoop
_LONGEST_WAIT_S: Final = 3600.0


class AsyncSender(Driver):
    """Sends from a task that starts with the first event captured on an event loop.

    The task ends with its loop; the next event on another loop starts another. What is
    left when no loop runs any more is sent at the exit of the process.

    Args:
        settings: The options of the client.
        transport: Carries the requests.
        reporter: Tells the application of faults.
        spool: Keeps what cannot be delivered; called on worker threads.
    """

    def __init__(
        self,
        settings: Settings,
        transport: AsyncTransport | None,
        reporter: Reporter,
        *,
        spool: Spool | None = None,
    ) -> None:
        self._own_transport = transport
        self._transport = transport or _default_transport(settings)
        super().__init__(settings, reporter, spool)
        _lifecycle.watch(self)

    def _begin(self, delivery: Delivery) -> None:
        super()._begin(delivery)
        self._wake = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._loop: _Loop | None = None
        self._waiters: dict[asyncio.Event, _Loop] = {}

    def begin_here(self) -> None:
        """Starts the task on the running event loop, if it does not run yet."""
        with self._lock:
            if not self._is_running:
                self._start()

    def retire(self) -> None:
        """Delivers what is queued, at the exit if no loop runs that long."""
        with self._lock:
            super().retire()
            if self._delivery.queued:
                _lifecycle.keep(self)

    async def flush_here(self, timeout_s: float, *, gives_up: bool) -> FlushResult:
        """Does on an event loop what `flush` does on a thread."""
        self._check_process()
        with self._lock:
            ticket = self._open_ticket()
        try:
            is_over = await self._settle(ticket, timeout_s, gives_up=gives_up)
        finally:
            self._close_ticket(ticket)
        return ticket.result(timed_out=not is_over)

    async def shutdown_here(self, timeout_s: float, *, gives_up: bool) -> FlushResult:
        """Closes, waits as `flush_here`, lets go of what is still queued then."""
        self.close()
        with self._lock:
            ticket = self._open_ticket()
        try:
            is_over = await self._settle(ticket, timeout_s, gives_up=gives_up)
            await self._stop()
        finally:
            self._close_ticket(ticket)
        return ticket.result(timed_out=not is_over)

    def deliver_last(self, timeout_s: float) -> None:
        """Does the last deliveries of the process, when no event loop runs any more."""
        with self._lock:
            self._is_stopped = True
            transport = (
                _Bridge(self._own_transport)
                if self._own_transport
                else HttpTransport(
                    self._settings.url,
                    self._settings.timeout,
                    proxy=self._settings.proxy,
                    ca_file=self._settings.ca_file,
                )
            )
            sender = Sender(
                self._settings,
                transport,
                self._reporter,
                spool=self._spool,
                delivery=self._delivery,
            )
        sender.shutdown(timeout_s, gives_up=True)

    def _is_me(self) -> bool:
        try:
            return self._runner is not None and asyncio.current_task() is self._runner
        except RuntimeError:
            return False

    def _start(self) -> Report | None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # The next event on a loop begins, or the exit of the process.
            return None
        self._loop = loop
        self._wake = asyncio.Event()
        self._runner = loop.create_task(self._run(), name="headwater-sender")
        return None

    def _notify(self) -> None:
        if self._loop is None or self._runner is None:
            return
        try:
            self._loop.call_soon_threadsafe(self._wake.set)
        except RuntimeError:
            # The loop was closed without ending its tasks.
            self._runner = None
            self._start()

    async def _run(self) -> None:
        task = asyncio.current_task()
        try:
            await self._work()
        finally:
            with self._lock:
                if self._runner is task:
                    self._runner = None
                if not self._delivery.queued:
                    _lifecycle.release(self)
                self._settled.notify_all()
            self._tell_waiters()
            await self._close_transport()

    async def _work(self) -> None:
        while (step := await self._await_step()) is not Chore.STOP:
            await self._do(step)
        await self._let_go_here()

    async def _await_step(self) -> FrozenBatch | Chore:
        while True:
            self._wake.clear()
            with self._lock:
                step = self._next_step()
            if not isinstance(step, float):
                return step
            try:
                async with asyncio.timeout(min(step, _LONGEST_WAIT_S)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _do(self, step: FrozenBatch | Chore) -> None:
        if step is Chore.SPILL:
            await asyncio.to_thread(self._spill)
            self._tell_waiters()
        elif step is Chore.RESTORE:
            await asyncio.to_thread(self._spooler.restore)
        elif isinstance(step, FrozenBatch):
            self._conclude(step, await self._attempt(step))
            self._tell_waiters()
            if self._spooler.has_settled:
                await asyncio.to_thread(self._spooler.forget_settled)

    async def _attempt(self, batch: FrozenBatch) -> Verdict:
        try:
            response = await self._transport.send(self._make_request(batch))
        except TransportError as error:
            return TryAgain(str(error))
        except Exception as error:  # noqa: BLE001 - supervised: a transport is foreign code
            return TryAgain(f"{type(error).__name__}: {error}")
        return judge(response, time.time())

    async def _settle(
        self, ticket: Ticket, timeout_s: float, *, gives_up: bool
    ) -> bool:
        is_over = self._is_over(ticket, gives_up=gives_up)
        if self._is_me():
            return is_over()
        changed = asyncio.Event()
        self._waiters[changed] = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(max(0.0, min(timeout_s, _LONGEST_WAIT_S))):
                while not is_over():
                    await changed.wait()
                    changed.clear()
        except TimeoutError:
            return is_over()
        finally:
            del self._waiters[changed]
        return True

    def _tell_waiters(self) -> None:
        for changed, loop in list(self._waiters.items()):
            try:
                loop.call_soon_threadsafe(changed.set)
            except RuntimeError:
                # Its loop is closed: nobody waits there.
                continue

    async def _stop(self) -> None:
        with self._lock:
            self._is_stopped = True
            self._notify()
            task = self._runner
        await self._let_go_here()
        if task is None:
            await self._close_transport()
        elif not self._is_me() and self._loop is asyncio.get_running_loop():
            # A request that is under way would hold it; what it carries is counted.
            task.cancel()
            await asyncio.wait([task])

    async def _let_go_here(self) -> None:
        if self._spool is None:
            self._let_go()
        else:
            await asyncio.to_thread(self._let_go)

    async def _close_transport(self) -> None:
        try:
            await self._transport.close()
        except Exception:  # noqa: BLE001 - a transport is foreign code
            logger.exception("the transport cannot be closed")


class _Bridge:
    """Lets a thread use an asynchronous transport, on an event loop of its own."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport
        self._runner = asyncio.Runner()

    def send(self, request: Request) -> Response:
        """Sends on the loop of this bridge."""
        return self._runner.run(self._transport.send(request))

    def close(self) -> None:
        """Closes the transport and the loop."""
        with self._runner:
            self._runner.run(self._transport.close())


def _default_transport(settings: Settings) -> AsyncTransport:
    from headwater._async_http import AsyncHttpTransport  # noqa: PLC0415 - see there

    return AsyncHttpTransport(
        settings.url,
        settings.timeout,
        proxy=settings.proxy,
        ca_file=settings.ca_file,
    )
