"""The seam between the journal and SQLite: what it uses of a connection.

`sqlite3.Connection` is one. The tests bring another, whose disk loses what was not
synced and tears pages.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

_BUSY_S: Final = 30.0


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
        path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )
