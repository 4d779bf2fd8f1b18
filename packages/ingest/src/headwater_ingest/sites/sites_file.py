"""The sites file of this node, read again when it changes.

A change is taken up once two calls of `refresh` have found the file the same: an editor
may write in parts, and a client whose key is missing from half a file would give up its
events. A file that is broken or gone changes nothing: the last good sites stay, and
`problem` says what is wrong.
"""

from collections.abc import Iterable
from pathlib import Path

import structlog

from headwater_ingest.errors import SitesFileError
from headwater_ingest.sites.record import SiteRecord
from headwater_ingest.sites.sites_toml import read_sites

_log = structlog.stdlib.get_logger(__name__)

_Stamp = tuple[int, int, int]  # what tells one version of the file from another


def name_of(path: Path) -> str:
    """Return how the records of the sites in a file call it."""
    return str(path.resolve())


def describe_loss(path: Path, known: Iterable[SiteRecord]) -> str | None:
    """Tell what to do about a file that is not there, if sites are kept in it.

    Args:
        path: Where it should be.
        known: The sites that the table has.
    """
    name = name_of(path)
    domains = [each.domain for each in known if each.kept_in == name]
    if not domains:
        return None
    return (
        f"sites file {path} is gone; {domains[0]} and whatever else it named stay as "
        "they were: write it again (`headwater-ingest sites export`), or let them go "
        "from it (`headwater-ingest sites release DOMAIN`)"
    )


class SitesFile:
    """One sites file and what it says. Used by one thread at a time.

    Attributes:
        path: Where it is.
        records: Its sites; of a file that is not there, none.
        problem: What is wrong with it now; None when all is well.
        is_loaded: Whether it has been read at all.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: tuple[SiteRecord, ...] = ()
        self.problem: str | None = None
        self.is_loaded = False
        self._loaded: _Stamp | None = None
        self._looked_at: _Stamp | None = None

    @property
    def name(self) -> str:
        """How the records of its sites call it."""
        return name_of(self.path)

    def load(self) -> None:
        """Read the file.

        Raises:
            SitesFileError: If it is missing or wrong; the records are unchanged.
        """
        self._loaded = self._looked_at = self._read_stamp()
        self.records = tuple(read_sites(self.path))
        self.problem = None
        self.is_loaded = True
        _log.info("sites loaded", file=str(self.path), sites=len(self.records))

    def refresh(self) -> bool:
        """Load the file again if it has changed and come to rest.

        Returns:
            Whether there are new records.
        """
        before, self._looked_at = self._looked_at, self._read_stamp()
        if self._looked_at == self._loaded or self._looked_at != before:
            return False
        try:
            self.load()
        except SitesFileError as error:
            self.problem = str(error)
            _log.warning(
                "sites file broken, last good sites kept", problems=list(error.problems)
            )
            return False
        return True

    def _read_stamp(self) -> _Stamp | None:
        try:
            stat = self.path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
