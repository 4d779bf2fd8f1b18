"""What happens to senders when the process forks or ends.

At exit all senders of the process deliver at the same time, under one deadline. In a
child of a fork each begins anew: without the parent's events, locks and connection.
"""

import atexit
import os
import sys
import time
import weakref
from typing import Protocol


class _Sender(Protocol):
    """As much of a sender as this module needs; `_sender` imports us."""

    @property
    def exit_timeout_s(self) -> float: ...
    def close(self) -> None: ...
    def shutdown(self, timeout_s: float, *, gives_up: bool) -> object: ...
    def reset_after_fork(self) -> None: ...


_senders: weakref.WeakValueDictionary[int, _Sender] = weakref.WeakValueDictionary()
_finalised_pid = 0


def watch(sender: _Sender) -> None:
    """Takes care of `sender` for as long as somebody else keeps it."""
    _senders[id(sender)] = sender


def watch_process_end() -> None:
    """Makes sure that the end of this process is noticed.

    A child of `multiprocessing` leaves without running what `atexit` knows, and
    forgets, after it was forked, what was registered with `multiprocessing` before.
    """
    global _finalised_pid  # noqa: PLW0603 - one per process, as what it guards
    if _finalised_pid == os.getpid():
        return
    _finalised_pid = os.getpid()
    multiprocessing = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None:
        multiprocessing.Finalize(None, deliver_at_exit, exitpriority=0)


def deliver_at_exit() -> None:
    """Shuts all senders down under the longest of their deadlines."""
    senders = _alive()
    timeouts = [sender.exit_timeout_s for sender in senders]
    deadline = time.monotonic() + max(timeouts, default=0.0)
    for sender in senders:
        sender.close()
    for sender in senders:
        sender.shutdown(max(0.0, deadline - time.monotonic()), gives_up=True)


def _reset_after_fork() -> None:
    for sender in _alive():
        sender.reset_after_fork()


def _alive() -> list[_Sender]:
    references = _senders.valuerefs()
    return [sender for ref in references if (sender := ref()) is not None]


atexit.register(deliver_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
