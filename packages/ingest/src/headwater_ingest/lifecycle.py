"""The stop of the service, in its order: not ready, refusing, drained, gone.

The first signal asks for a stop, a second one for haste: every wait that remains is cut
short then. Nothing that was acknowledged depends on these waits, because it is in the
journal.
"""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

_log = structlog.stdlib.get_logger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Lifecycle:
    """Where the service is on its way out. Owned by the loop.

    Attributes:
        draining: The node is not ready any more; it still takes requests.
        refusing: New requests get the error `draining`.
    """

    def __init__(self) -> None:
        self.draining = False
        self.refusing = False
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    @property
    def in_a_hurry(self) -> bool:
        """Whether a second signal came."""
        return self._hurry.is_set()

    def request_stop(self) -> None:
        """Begin the stop, or speed it up if it has begun."""
        if self._stop.is_set():
            _log.warning("stopping at once", left="stays in the journal")
            self._hurry.set()
            return
        _log.info("stopping", hint="a second signal stops at once")
        self.draining = True
        self._stop.set()

    async def wait_for_stop(self) -> None:
        """Return when a stop has been asked for."""
        await self._stop.wait()

    async def bounded(self, work: Coroutine[Any, Any, object], seconds: float) -> bool:
        """Do a piece of the stop, but not beyond a deadline or a second signal.

        Returns:
            Whether the work was done; if not, it has been cancelled.
        """
        task = asyncio.create_task(work)
        hurry = asyncio.create_task(self._hurry.wait())
        done, pending = await asyncio.wait(
            {task, hurry}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for each in pending:
            each.cancel()
        await asyncio.wait({task, hurry})
        if task not in done:
            return False
        task.result()  # its error, if any, is the caller's
        return True

    async def pause(self, seconds: float) -> None:
        """Wait, but not beyond a second signal."""
        await self.bounded(asyncio.sleep(seconds), seconds)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let SIGTERM and SIGINT ask for the stop."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.request_stop)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
