"""Who holds the batches that were taken out of a spool: a live process, or nobody.

Every open spool has a *token*, and a file `SPOOL.TOKEN.owner` that it keeps locked.
The kernel gives the lock up when the process ends, however it ends; a file that can be
locked therefore belongs to the dead, and what they had taken is free again.
"""

import glob
import os
import secrets
import threading
from pathlib import Path
from typing import Final

from headwater._errors import SettingsError

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    raise SettingsError(["spool needs the file locks of POSIX systems"]) from None

_PRIVATE: Final = 0o600

own_tokens: Final[set[str]] = set()
"""Tokens of this process. It must not try their locks: closing a file gives up all
locks that the process has on it."""

io_lock: Final = threading.RLock()
"""Held while a spool is at work, so that no fork copies an open SQLite connection.

Reentrant, since a signal handler may end a client on the thread that holds it.
"""


class Owner:
    """One holder of batches, of this process. `io_lock` is held around every call.

    Args:
        path: The file of the spool.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._pid = 0
        self._token = ""

    @property
    def token(self) -> str:
        """The name of this holder; a new one in a child of a fork.

        Raises:
            OSError: The file cannot be made or locked.
        """
        if not self.is_holding:
            # The copy of a parent's file has no lock: those are not inherited.
            self.let_go()
            self._hold()
        return self._token

    @property
    def is_holding(self) -> bool:
        """This process has asked for the token before."""
        return self._pid == os.getpid()

    def living(self) -> set[str]:
        """Returns the tokens of all holders that live; removes files of the dead.

        Raises:
            OSError: The folder cannot be read.
        """
        prefix = f"{self._path.name}."
        found = self._path.parent.glob(f"{glob.escape(prefix)}*.owner")
        alive = {
            file.name[len(prefix) : -len(".owner")]
            for file in found
            if not _is_dead(file)
        }
        return alive | own_tokens

    def let_go(self) -> None:
        """Ends the holding."""
        if self._file < 0:
            return
        os.close(self._file)
        if self.is_holding:
            own_tokens.discard(self._token)
            _file_of(self._path, self._token).unlink(missing_ok=True)
        self._file, self._pid, self._token = -1, 0, ""

    def _hold(self) -> None:
        token = secrets.token_hex(8)
        path = _file_of(self._path, token)
        own_tokens.add(token)
        try:
            self._file = _make_locked(path)
        except OSError:
            own_tokens.discard(token)
            raise
        self._pid, self._token = os.getpid(), token


def _make_locked(path: Path) -> int:
    while True:
        file = os.open(path, os.O_CREAT | os.O_RDWR, _PRIVATE)
        try:
            # Between the two calls another process may have found it without a lock,
            # taken it for one of the dead and removed it.
            if _try_lock(file) and os.fstat(file).st_nlink:
                return file
        except OSError:
            os.close(file)
            raise
        os.close(file)


def _file_of(path: Path, token: str) -> Path:
    return path.with_name(f"{path.name}.{token}.owner")


def _is_dead(path: Path) -> bool:
    if path.name.split(".")[-2] in own_tokens:
        return False
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    except PermissionError:
        # Of another user, who may be alive.
        return False
    try:
        if not _try_lock(file):
            return False
        path.unlink(missing_ok=True)
        return True
    finally:
        os.close(file)


def _try_lock(file: int) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _begin_child() -> None:
    own_tokens.clear()
    io_lock.release()


os.register_at_fork(
    before=io_lock.acquire,
    after_in_parent=io_lock.release,
    after_in_child=_begin_child,
)
