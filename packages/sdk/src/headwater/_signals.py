"""Delivery before SIGTERM ends the process, for applications that ask for it.

The handler waits for nothing: the main thread, which it interrupts, may hold the very
lock that a delivery needs. A thread delivers and then sends the signal once more; that
one goes to the handler that was there before, or ends the process::

    SIGTERM ─► handler ─► thread: deliver, 2 s at most ─► SIGTERM ─► former handler
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

from headwater import _lifecycle

_AGAIN_S: Final = 0.05

Handler = Callable[[int, FrameType | None], object] | int | None


class TermHook:
    """The handler of SIGTERM. One for each process."""

    def __init__(self) -> None:
        self._former: Handler = signal.SIG_DFL
        self._pid = 0

    def install(self) -> bool:
        """Takes the place of the present handler, and chains to it.

        Returns:
            Whether it could: Python lets the main thread alone do that.
        """
        if threading.current_thread() is not threading.main_thread():
            return False
        # Each access to a method makes a new object, which is equal to the others.
        if signal.getsignal(signal.SIGTERM) != self._handle:
            self._former = signal.signal(signal.SIGTERM, self._handle)
        return True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._pid == os.getpid():
            # The signal that our thread has sent, or somebody in a hurry.
            self._chain(number, frame)
            return
        self._pid = os.getpid()
        thread = threading.Thread(
            target=self._deliver, args=(number,), name="headwater-sigterm", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            self._chain(number, frame)

    def _deliver(self, number: int) -> None:
        try:
            _lifecycle.flush_all()
        finally:
            # Once may not be enough: a signal that comes just before the main thread
            # enters a system call does not interrupt it, and is handled after it.
            while self._pid == os.getpid():
                os.kill(os.getpid(), number)
                time.sleep(_AGAIN_S)

    def _chain(self, number: int, frame: FrameType | None) -> None:
        self._pid = 0
        if callable(self._former):
            self._former(number, frame)
        elif self._former != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


_hook: Final = TermHook()


def deliver_on_sigterm() -> bool:
    """Has SIGTERM wait for what is queued, for `exit_timeout` seconds at most.

    What handled the signal before is called after that; where nothing did, the process
    then ends by it, as before. To be called in the main thread, after frameworks have
    installed handlers of their own. May be called twice.

    Returns:
        Whether it is so now; it is not when called in another thread.
    """
    return _hook.install()
