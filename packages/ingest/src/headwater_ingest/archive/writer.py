"""The end of the archive at which the writer adds rows."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

from headwater_ingest.archive.files import (
    SUFFIX,
    list_files,
    locked,
    make_record,
    scan,
    sync_directory,
)
from headwater_ingest.errors import ArchiveUnwritableError
from headwater_ingest.rows import Rows

_HOUR: Final = "%Y-%m-%dT%H"


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long archive files are kept.

    Attributes:
        days: From this age on a file is deleted.
        max_bytes: Of all files together; the oldest go first.
    """

    days: int
    max_bytes: int


class ArchiveWriter:
    """The end of an archive at which rows are added. For the thread that writes."""

    def __init__(
        self, directory: Path, keeping: Keeping, *, clock_ms: Callable[[], int]
    ) -> None:
        """Prepare; nothing is touched yet.

        Args:
            directory: Of the archive; it is made when it is not there.
            keeping: How long files are kept.
            clock_ms: Milliseconds since 1970.
        """
        self._directory = directory
        self._keeping = keeping
        self._clock_ms = clock_ms
        self._last_token: str | None = None
        self._path: Path | None = None
        self._inode = 0
        self._end = 0

    def append(self, token: str, blobs: Sequence[bytes], sets: Sequence[Rows]) -> None:
        """Put the rows of a block on disk, unless they are there.

        Args:
            token: Of the block.
            blobs: Its rows, as they were encoded.
            sets: The same, decoded.

        Raises:
            ArchiveUnwritableError: The disk refuses; nothing was added.
        """
        try:
            self._append(token, blobs, sets)
        except OSError as error:
            raise ArchiveUnwritableError(
                f"the archive in {self._directory} cannot be written "
                f"({error.strerror}), so rows stay in the journal: free space on its "
                "disk, or set HEADWATER_ARCHIVE_DAYS=0 and restart"
            ) from error

    def _append(self, token: str, blobs: Sequence[bytes], sets: Sequence[Rows]) -> None:
        with locked(self._directory):
            if self._last_token == token:
                return
            path = self._choose_file(token)
            with open(  # noqa: PTH123  # by descriptor, for its rights
                os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b"
            ) as file:
                self._find_end(file, path, token)
                record = make_record(token, self._clock_ms(), blobs, sets)
                os.ftruncate(file.fileno(), self._end)
                file.seek(self._end)
                file.write(record)
                file.flush()
                os.fsync(file.fileno())
            if not self._end:
                sync_directory(self._directory)
            self._last_token = token
            self._end += len(record)

    def _choose_file(self, token: str) -> Path:
        """Return the file of this hour, or a later one if the clock was set back.

        If the writer before this one has begun the block, that is done again where it
        was done.
        """
        now = datetime.fromtimestamp(self._clock_ms() / 1000, UTC)
        path = self._directory / f"{now:{_HOUR}}{SUFFIX}"
        files = list_files(self._directory)
        newest = files[-1] if files else path
        if self._path is None and files and _find_last_token(newest) == token:
            return newest
        if path > newest:
            self._delete_old(files, now)
        return max(path, newest)

    def _find_end(self, file: BinaryIO, path: Path, token: str) -> None:
        """Find out where to write, anew unless the file is as this writer left it."""
        status = os.fstat(file.fileno())
        if (path, status.st_ino, status.st_size) == (
            self._path,
            self._inode,
            self._end,
        ):
            return
        self._end = 0
        for place in scan(file):
            # Of this very block it may be whole and not on the disk.
            is_ours = place.heading.token == token
            self._end = place.start if is_ours else place.end
        self._path, self._inode = path, status.st_ino

    def _delete_old(self, files: list[Path], now: datetime) -> None:
        """Delete what is too old or too much. The newest file stays in any case."""
        oldest = f"{now - timedelta(days=self._keeping.days):{_HOUR}}"
        room = self._keeping.max_bytes
        for path in reversed(files[:-1]):
            room -= path.stat().st_size
            if path.stem < oldest or room < 0:
                path.unlink()


def _find_last_token(path: Path) -> str | None:
    with path.open("rb") as file:
        tokens = [place.heading.token for place in scan(file)]
    return tokens[-1] if tokens else None
