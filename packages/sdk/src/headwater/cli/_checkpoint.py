"""How far an import has come, in a file beside what is imported.

It is written when all events before a line are settled, and removed at the end. A
process that is killed loses no more than the knowledge of the last few thousand
events; those are sent again, and their ids make duplicates of them.
"""

import os
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

_HEAD_BYTES: Final = 4096


class Checkpoint(msgspec.Struct, kw_only=True):
    """What is known of an import that is not over.

    Attributes:
        source: Digest of the beginning of the file and of where its events go.
        head_bytes: How much of the file is in that digest.
        offset: Bytes of the file that are settled.
        lines: Lines of it.
        sent: Events that the service has.
        failed: Lines and events that it will not get.
    """

    source: str
    head_bytes: int
    offset: int = 0
    lines: int = 0
    sent: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """Keeps the checkpoint of one import.

    Attributes:
        path: Where.
    """

    path: Path

    def read(self, file: BinaryIO, destination: str) -> Checkpoint:
        """Returns the checkpoint, or a new one if there is none of this import.

        Args:
            file: What is imported.
            destination: Where its events go.
        """
        try:
            found = _decode(self.path.read_bytes())
        except (FileNotFoundError, msgspec.DecodeError):
            return _begin(file, destination)
        source = _digest(file, found.head_bytes, destination)
        size = file.seek(0, os.SEEK_END)
        if source != found.source or size < found.offset:
            return _begin(file, destination)
        return found

    def write(self, checkpoint: Checkpoint) -> None:
        """Replaces the checkpoint, whole or not at all."""
        new = self.path.with_name(f"{self.path.name}.new")
        new.write_bytes(msgspec.json.encode(checkpoint))
        new.replace(self.path)

    def remove(self) -> None:
        """Forgets the import: it is over."""
        self.path.unlink(missing_ok=True)


def _begin(file: BinaryIO, destination: str) -> Checkpoint:
    size = min(file.seek(0, os.SEEK_END), _HEAD_BYTES)
    return Checkpoint(source=_digest(file, size, destination), head_bytes=size)


def _digest(file: BinaryIO, size: int, destination: str) -> str:
    file.seek(0)
    return blake2b(file.read(size), digest_size=16, key=_key(destination)).hexdigest()


def _key(destination: str) -> bytes:
    return blake2b(destination.encode(), digest_size=32).digest()


_decode: Final = msgspec.json.Decoder(Checkpoint).decode
