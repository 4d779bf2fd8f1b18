"""A lock file: at most one process holds it, and a process that dies lets it go."""

import fcntl
import os
from pathlib import Path
from typing import Final

from headwater_ingest.errors import JournalLockedError, JournalUnwritableError

SERVICE_LOCK: Final = "journal.lock"
WRITER_LOCK: Final = "writer.lock"


class FileLock:
    """The lock on one file, held from construction to `release`."""

    def __init__(self, path: Path) -> None:
        """Take the lock.

        Args:
            path: The file; it is made when it is not there.

        Raises:
            JournalLockedError: If another process has it.
            JournalUnwritableError: If the file cannot be made.
        """
        self._fd = _open(path)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._fd, 20).decode(errors="replace").strip()
            os.close(self._fd)
            raise JournalLockedError(
                f"{path.parent} is in use by process {holder or 'unknown'}: stop that "
                "one, or set HEADWATER_DATA_DIR to another directory"
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Let the lock go. The file stays: removing it would let two in."""
        os.close(self._fd)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalUnwritableError(
            f"{path.parent} cannot be written to ({error.strerror}): make it writable "
            "for this user, or set HEADWATER_DATA_DIR to another directory"
        ) from error
