"""A file of the operator, read again when it changes; the last good one stays in force.

A change is taken up once two looks have found the file the same: it may be written in
parts. A file that is broken or gone changes nothing but `problem`.
"""

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from headwater_ingest.errors import DataFileError

_log = structlog.stdlib.get_logger(__name__)

_T = TypeVar("_T")
_Stamp = tuple[int, int, int]  # what tells one version of a file from another


class _Never(Enum):
    """Stands for the stamp of a file that nobody has looked at."""

    NEVER = 0


class WatchedFile(Generic[_T]):
    """One file and what was last read from it.

    `refresh` is called by one thread at a time; `value` may be read by any, and is
    replaced as a whole.

    Attributes:
        value: What the last good version of the file says.
        problem: What is wrong with the file now; None when all is well.
    """

    def __init__(self, path: Path, load: Callable[[Path], _T], *, default: _T) -> None:
        """Watches the file at `path`; the first `refresh` reads it.

        Args:
            path: The file.
            load: Reads it, or raises `DataFileError`.
            default: The value until the file has been read.
        """
        self.value = default
        self.problem: str | None = None
        self._path = path
        self._load = load
        self._tried: _Stamp | _Never | None = _Never.NEVER
        self._seen: _Stamp | _Never | None = _Never.NEVER

    def refresh(self) -> bool:
        """Reads the file if it has changed and come to rest.

        Returns:
            Whether there is a new value.
        """
        before, self._seen = self._seen, self._read_stamp()
        at_rest = before is _Never.NEVER or before == self._seen
        if self._seen == self._tried or not at_rest:
            return False
        self._tried = self._seen
        try:
            self.value = self._load(self._path)
        except DataFileError as error:
            self.problem = str(error)
            _log.warning("data file not taken up", problem=self.problem)
            return False
        self.problem = None
        _log.info("data file taken up", file=str(self._path))
        return True

    def _read_stamp(self) -> _Stamp | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
