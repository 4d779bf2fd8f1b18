"""The seam between the journal and SQLite: what it uses of a connection.

`sqlite3.Connection` is one. The tests bring another, whose disk loses what was not
synced and tears pages.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

_BUSY_S: Final = 30.0
"""How long a statement may wait for the other process."""

_LOOK_S: Final = 0.0003


class Cursor(Protocol):
    """The rows of a statement."""

    @property
    def rowcount(self) -> int:
        """How many rows the statement changed."""

    def fetchone(self) -> Any:
        """Returns the next row, or None."""

    def fetchall(self) -> list[Any]:
        """Returns all rows."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection without transactions of its own. Errors are `sqlite3.Error`."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun and not ended."""

    def execute(self, statement: str, parameters: Any = (), /) -> Cursor:
        """Runs a statement."""

    def executemany(self, statement: str, parameters: Iterable[Any], /) -> Cursor:
        """Runs a statement once for each of the parameters."""

    def close(self) -> None:
        """Closes it."""


Connect = Callable[[Path], Connection]
"""Opens a file; makes it when there is none."""


def connect_sqlite(path: Path) -> Connection:
    """Open a file with the standard library's SQLite.

    One that is made, and what SQLite puts beside it, is for its owner alone.
    """
    with suppress(OSError):  # SQLite meets the same and says what it is
        os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o600))
    # The connection moves to the commit thread once, after it is opened.
    return sqlite3.connect(
        path,
        timeout=0,  # the class waits instead
        isolation_level=None,
        check_same_thread=False,
        factory=_PatientConnection,
    )


class _PatientConnection(sqlite3.Connection):
    """Waits for the other process in steps that suit it.

    Service and writer hold the lock for a millisecond or two. SQLite itself looks again
    after 1, 2, 5, 10 and more milliseconds, and all requests would wait along with it.
    `executemany` does not wait: it is for use inside a transaction only.
    """

    def execute(self, statement: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Runs a statement, as soon as nobody else is in the way of it."""
        until = time.monotonic() + _BUSY_S
        while True:
            try:
                return super().execute(statement, parameters)
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() >= until:
                    raise
            time.sleep(_LOOK_S)


def _is_busy(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", 0)
    # A snapshot that is too old to write does not get younger.
    is_hopeless = code == sqlite3.SQLITE_BUSY_SNAPSHOT
    return code & 0xFF == sqlite3.SQLITE_BUSY and not is_hopeless
