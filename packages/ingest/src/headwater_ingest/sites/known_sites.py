"""What this node last knew of the sites, on its own disk.

With it a node starts and takes events while ClickHouse is away. The file is for its
owner only; it holds digests of write keys, never the keys.
"""

import os
from pathlib import Path
from typing import Self

import msgspec
import structlog

from headwater_ingest.sites.record import SiteRecord

FILE_NAME = "known-sites.json"

_log = structlog.stdlib.get_logger(__name__)


class KnownSites(msgspec.Struct, frozen=True):
    """The sites as ClickHouse had them, and which of them the sites file named.

    Attributes:
        records: Of all sites, the removed ones excepted.
        in_file: Numbers of the sites in the sites file when it was last applied.
    """

    records: tuple[SiteRecord, ...] = ()
    in_file: tuple[int, ...] = ()

    @classmethod
    def read(cls, data_dir: Path) -> Self:
        """Return what was last written; nothing, if there is nothing to be read."""
        path = data_dir / FILE_NAME
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except FileNotFoundError:
            return cls()
        except (OSError, msgspec.DecodeError) as error:
            _log.warning("known sites unreadable", file=str(path), problem=str(error))
            return cls()

    def write(self, data_dir: Path) -> None:
        """Put the file in place, whole or not at all."""
        draft = data_dir / f"{FILE_NAME}.new"
        draft.unlink(missing_ok=True)
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(msgspec.json.encode(self))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(data_dir / FILE_NAME)
