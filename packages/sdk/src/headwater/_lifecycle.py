"""What happens to senders when the process forks or ends.

At exit all senders of the process deliver at the same time, under one deadline. In a
child of a fork each begins anew: without the parent's events, locks and connection.
"""

from __future__ import annotations

import atexit
import logging  # noqa: F401 - before our hooks, see below
import os
import sys
import threading
import time
import weakref
from typing import Final, Protocol


class _Sender(Protocol):
    """As much of a sender as this module needs; `_sender` imports us."""

    @property
    def exit_timeout_s(self) -> float: ...
    def close(self) -> None: ...
    def flush(self, timeout_s: float, *, gives_up: bool) -> object: ...
    def deliver_last(self, timeout_s: float) -> None: ...
    def reset_after_fork(self) -> None: ...


_LONGEST_FORK_WAIT_S: Final = 5.0

_senders: weakref.WeakValueDictionary[int, _Sender] = weakref.WeakValueDictionary()
# Those whose clients are gone while events wait in them.
_kept: Final[set[_Sender]] = set()
_finalised_pid = 0


class ForkGuard:
    """Held by a thread while a fork must wait, for some seconds at most.

    An import that a fork cuts in two can never be done in the child: the lock of the
    module stays with a thread that does not exist there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_held_by_fork = False

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_error: object) -> None:
        self._lock.release()

    def before_fork(self) -> None:
        """Waits for whoever holds the guard."""
        self._is_held_by_fork = self._lock.acquire(timeout=_LONGEST_FORK_WAIT_S)

    def after_fork_in_parent(self) -> None:
        """Lets the threads of the parent go on."""
        if self._is_held_by_fork:
            self._is_held_by_fork = False
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """Forgets who held the guard: nobody of them is here."""
        self._lock = threading.Lock()
        self._is_held_by_fork = False


fork_guard: Final = ForkGuard()


def watch(sender: _Sender) -> None:
    """Takes care of `sender` for as long as somebody else keeps it."""
    _senders[id(sender)] = sender


def keep(sender: _Sender) -> None:
    """Keeps `sender` until it is released, or has delivered at the exit."""
    _kept.add(sender)


def release(sender: _Sender) -> None:
    """Lets go of a sender that was kept, if it was."""
    _kept.discard(sender)


def watch_process_end() -> None:
    """Makes sure that the end of this process is noticed.

    A child of `multiprocessing` leaves without running what `atexit` knows, and
    forgets, after it was forked, what was registered with `multiprocessing` before.
    """
    global _finalised_pid  # noqa: PLW0603 - one per process, as what it guards
    if _finalised_pid == os.getpid():
        return
    _finalised_pid = os.getpid()
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        util = sys.modules["multiprocessing.util"]
        util.Finalize(None, deliver_at_exit, exitpriority=0)


def deliver_at_exit() -> None:
    """Shuts all senders down under the longest of their deadlines."""
    senders = _alive()
    timeouts = [sender.exit_timeout_s for sender in senders]
    deadline = time.monotonic() + max(timeouts, default=0.0)
    for sender in senders:
        sender.close()
    for sender in senders:
        sender.deliver_last(max(0.0, deadline - time.monotonic()))
        release(sender)


def flush_all() -> None:
    """Waits for what is queued, under the longest of the deadlines."""
    senders = _alive()
    timeouts = [sender.exit_timeout_s for sender in senders]
    deadline = time.monotonic() + max(timeouts, default=0.0)
    for sender in senders:
        sender.flush(max(0.0, deadline - time.monotonic()), gives_up=True)


def _reset_after_fork() -> None:
    fork_guard.after_fork_in_child()
    for sender in _alive():
        sender.reset_after_fork()


def _alive() -> list[_Sender]:
    references = _senders.valuerefs()
    return [sender for ref in references if (sender := ref()) is not None]


atexit.register(deliver_at_exit)
# Hooks before a fork run in reverse order. Ours has to come before that of logging:
# an import under way, for which it waits, may need the lock that logging takes.
if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows
    os.register_at_fork(
        before=fork_guard.before_fork,
        after_in_parent=fork_guard.after_fork_in_parent,
        after_in_child=_reset_after_fork,
    )
