"""A clock that can be set, for all processes of a service at once.

Importing this module replaces the clocks of `time` by ones that add what lies in a file
of eight bytes. It has to come before any module that takes a clock by its name.
"""

import mmap
import os
import struct
import time
from pathlib import Path
from typing import Final

VARIABLE: Final = "CHAOS_CLOCK"
_BYTES: Final = 8

_real_time, _real_time_ns = time.time, time.time_ns


def make(path: Path) -> None:
    """Makes a clock that goes right."""
    path.write_bytes(bytes(_BYTES))


def step(path: Path, seconds: int) -> None:
    """Sets the clock forwards, or backwards."""
    (before,) = struct.unpack("q", path.read_bytes())
    with path.open("r+b") as file:
        file.write(struct.pack("q", before + seconds))


def install() -> None:
    """Replaces the clocks of this process."""
    fd = os.open(os.environ[VARIABLE], os.O_RDONLY)
    offset = mmap.mmap(fd, _BYTES, prot=mmap.PROT_READ)
    os.close(fd)

    def read_s() -> int:
        (seconds,) = struct.unpack("q", offset)
        return int(seconds)

    time.time = lambda: _real_time() + read_s()
    time.time_ns = lambda: _real_time_ns() + read_s() * 1_000_000_000
