"""Keeps the registry in step with the sites file.

A change is taken up once two calls of `refresh` have found the file the same: an editor
may write in parts, and a client whose key is missing from half a file would give up its
events. A file that is broken or gone changes nothing: the last good sites stay, and
`problem` says what is wrong.
"""

from pathlib import Path

import structlog

from headwater_ingest.errors import SitesFileError
from headwater_ingest.sites.registry import SiteRegistry
from headwater_ingest.sites.sites_toml import read_sites

_log = structlog.stdlib.get_logger(__name__)

_Stamp = tuple[int, int, int]  # what tells one version of the file from another


class SitesFile:
    """One sites file and the registry that it fills. Used by one thread at a time."""

    def __init__(self, path: Path, registry: SiteRegistry) -> None:
        self._path = path
        self._registry = registry
        self._loaded: _Stamp | None = None
        self._looked_at: _Stamp | None = None
        self.problem: str | None = None

    def load(self) -> None:
        """Read the file and put its sites in force.

        Raises:
            SitesFileError: If it is missing or wrong; the registry is unchanged.
        """
        self._loaded = self._looked_at = self._read_stamp()
        sites = read_sites(self._path)
        self._registry.replace(sites)
        self.problem = None
        _log.info("sites loaded", file=str(self._path), sites=len(sites))

    def refresh(self) -> None:
        """Load the file again if it has changed and come to rest."""
        before, self._looked_at = self._looked_at, self._read_stamp()
        if self._looked_at == self._loaded or self._looked_at != before:
            return
        try:
            self.load()
        except SitesFileError as error:
            self.problem = str(error)
            _log.warning("sites file broken, last good sites kept", problem=str(error))

    def _read_stamp(self) -> _Stamp | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
