"""The archive: every row that was accepted, in compressed files of one hour each.

The writer appends the rows of a block, dead letters included, after they are in
ClickHouse and before the journal lets them go: a row is archived once, and a row that
was accepted is in the archive or still in the journal.

A file is a series of records, `archive/2026-11-22T02.zst`; the hour (UTC) is that of
writing. A record is two frames of Zstandard:

    skippable frame    MessagePack: [token of the block, when it was written in epoch
                       ms, rows, earliest and latest `received_at`, length of the next
                       frame]
    frame              MessagePack: [blob, ...], each made by `encode_rows`

What a crash leaves of the last record is cut off by the next append: its block is in
the journal still. So is a whole record whose block was not let go: it is told by its
token, and not written twice. Whoever changes files holds the lock of the directory.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import BinaryIO, Final

import msgspec
import zstandard

from headwater_ingest.errors import ArchiveDamagedError
from headwater_ingest.rows import Rows, decode_rows, keep_rows

DIRECTORY_NAME: Final = "archive"
SUFFIX: Final = ".zst"

_FRAME: Final = Struct("<II")
_SKIPPABLE: Final = 0x184D2A50
_RECEIVED_AT: Final = "received_at"

_compress: Final = zstandard.ZstdCompressor(level=3, write_checksum=True).compress
_decompress: Final = zstandard.ZstdDecompressor().decompress
_encode: Final = msgspec.msgpack.Encoder().encode
_decode_blobs: Final = msgspec.msgpack.Decoder(list[bytes]).decode


class Heading(msgspec.Struct, array_like=True, frozen=True):
    """What stands before the rows of a record.

    Attributes:
        token: Of their block.
        at_ms: When they were written.
        rows: How many there are.
        from_ms: When the first of them was received.
        to_ms: When the last was.
        length: Bytes of the frame that follows.
    """

    token: str
    at_ms: int
    rows: int
    from_ms: int
    to_ms: int
    length: int


_decode_heading: Final = msgspec.msgpack.Decoder(Heading).decode


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record is.

    Attributes:
        heading: What it says of itself.
        start: Its first byte.
        body: The first byte of its rows.
    """

    heading: Heading
    start: int
    body: int

    @property
    def end(self) -> int:
        """The byte after the record."""
        return self.body + self.heading.length


def list_files(directory: Path) -> list[Path]:
    """Return the files of an archive, the oldest first."""
    return sorted(directory.glob(f"*{SUFFIX}"))


def read_rows(path: Path, from_ms: int, to_ms: int) -> Iterator[Rows]:
    """Yield the rows of a file that were received within a time, set by set.

    Args:
        path: The file.
        from_ms: The first moment, epoch ms.
        to_ms: The moment after the last.

    Raises:
        ArchiveDamagedError: A record in the file makes no sense. An end that is torn
            off is none: its rows are in the journal.
    """
    with path.open("rb") as file:
        for place in scan(file):
            heading = place.heading
            if heading.from_ms < to_ms and heading.to_ms >= from_ms:
                for blob in read_blobs(file, place):
                    yield from _cut_to_time(decode_rows(blob), from_ms, to_ms)


def scan(file: BinaryIO) -> Iterator[Place]:
    """Yield the whole records of a file, without reading their rows."""
    size = os.fstat(file.fileno()).st_size
    start = 0
    while (place := _read_place(file, start, size)) is not None:
        yield place
        start = place.end


def read_blobs(file: BinaryIO, place: Place) -> list[bytes]:
    """Return the rows of a record.

    Raises:
        ArchiveDamagedError: They make no sense.
    """
    file.seek(place.body)
    try:
        return _decode_blobs(_decompress(file.read(place.heading.length)))
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise ArchiveDamagedError(
            f"{file.name} is damaged at byte {place.start} ({error}): put a backup in "
            "its place, or move the file away to go on without it"
        ) from error


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the right to change the files of an archive; waits for it."""
    directory.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def make_record(
    token: str, at_ms: int, blobs: Sequence[bytes], sets: Sequence[Rows]
) -> bytes:
    """Return the record of a block.

    Args:
        token: Of the block.
        at_ms: When it is written.
        blobs: Its rows, as they were encoded.
        sets: The same, decoded.
    """
    times = [each for rows in sets for each in _received_at(rows)]
    heading = Heading(
        token,
        at_ms,
        rows=sum(len(each.event_id) for each in sets),
        from_ms=min(times, default=at_ms),
        to_ms=max(times, default=at_ms),
        length=0,
    )
    return remake_record(heading, blobs)


def remake_record(heading: Heading, blobs: Sequence[bytes]) -> bytes:
    """Return a record with such a heading and these rows, whatever they take."""
    body = _compress(_encode(blobs))
    encoded = _encode(msgspec.structs.replace(heading, length=len(body)))
    return _FRAME.pack(_SKIPPABLE, len(encoded)) + encoded + body


def sync_directory(directory: Path) -> None:
    """Make the names of new files durable."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _received_at(rows: Rows) -> list[int]:
    times: list[int] | None = rows.varying.get(_RECEIVED_AT)
    return [rows.constants.get(_RECEIVED_AT, 0)] if times is None else times


def _read_place(file: BinaryIO, start: int, size: int) -> Place | None:
    """Return the record that begins at a byte, or None if it is not whole."""
    file.seek(start)
    frame = file.read(_FRAME.size)
    if len(frame) < _FRAME.size:
        return None
    magic, length = _FRAME.unpack(frame)
    body = start + _FRAME.size + length
    if magic != _SKIPPABLE or body > size:
        return None
    try:
        place = Place(_decode_heading(file.read(length)), start, body)
    except msgspec.MsgspecError:
        return None
    return place if place.end <= size else None


def _cut_to_time(rows: Rows, from_ms: int, to_ms: int) -> Iterator[Rows]:
    times = _received_at(rows)
    if len(times) == 1:
        times *= len(rows.event_id)
    kept = [index for index, at in enumerate(times) if from_ms <= at < to_ms]
    if len(kept) == len(times):
        yield rows
    elif kept:
        yield keep_rows(rows, kept)
