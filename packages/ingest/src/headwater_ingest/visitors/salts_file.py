"""The salts of this node on its own disk, for a start while ClickHouse is away.

The file is for its owner only, and is written anew when a salt is no longer needed, so
that it holds none that is older than 48 hours; a node that was stopped for longer drops
old ones before it does anything else.
"""

import os
from pathlib import Path
from typing import Final

import msgspec
import structlog

from headwater_ingest.visitors.salts import DaySalt

FILE_NAME: Final = "salts.json"

_log = structlog.stdlib.get_logger(__name__)


def read_salts(data_dir: Path) -> tuple[DaySalt, ...]:
    """Return what was last written; nothing, if there is nothing to be read."""
    path = data_dir / FILE_NAME
    try:
        return _decode(path.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError) as error:
        _log.warning("salts unreadable", file=str(path), problem=str(error))
        return ()


def write_salts(data_dir: Path, salts: tuple[DaySalt, ...]) -> None:
    """Put the file in place, whole or not at all."""
    draft = data_dir / f"{FILE_NAME}.new"
    draft.unlink(missing_ok=True)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(msgspec.json.encode(salts))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(data_dir / FILE_NAME)


_decode: Final = msgspec.json.Decoder(tuple[DaySalt, ...]).decode
