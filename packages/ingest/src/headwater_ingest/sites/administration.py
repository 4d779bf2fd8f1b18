"""What can be done to the sites: the operations of the command line and the admin API.

Each reads the table, asks the `SiteBook` what is to be written, and writes that. Of two
changes of one site at the same moment the later one counts. They block, so they are for
threads that may wait.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from headwater_ingest.errors import InvalidSiteError
from headwater_ingest.sites.record import SiteRecord
from headwater_ingest.sites.site_book import SiteBook
from headwater_ingest.sites.sites_toml import KEY_FIELDS, new_write_key
from headwater_ingest.sites.sites_toml_writer import write_sites

DEFAULT_OVERLAP_HOURS: Final = 24.0
MAX_OVERLAP_HOURS: Final = 24.0 * 366


class SiteTable(Protocol):
    """Where the sites are written down."""

    def read(self) -> list[SiteRecord]:
        """Return all sites, removed ones included."""

    def write(self, records: Sequence[SiteRecord]) -> None:
        """Write some sites."""


class SiteAdministration:
    """The operations on one table of sites.

    All of them may raise a `ClickHouseError`, and those on a site that is not there an
    `UnknownSiteError`. A site that a sites file keeps is a `SiteKeptInFileError`.
    """

    def __init__(
        self,
        table: SiteTable,
        *,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._table = table
        self._clock_ms = clock_ms

    def list_sites(self) -> list[SiteRecord]:
        """Return all sites, by domain."""
        return self._open().sites

    def find(self, domain: str) -> SiteRecord:
        """Return one site."""
        return self._open().find(domain)

    def export(self) -> str:
        """Return all sites as a sites file."""
        return write_sites(self.list_sites())

    def add(self, given: Mapping[str, object]) -> tuple[SiteRecord, str | None]:
        """Add a site; one that brings no key gets one.

        Returns:
            The site, and its new key. Nobody can learn the key later.

        Raises:
            InvalidSiteError: A field is wrong.
            SiteExistsError: There is such a site.
        """
        key = None
        if not KEY_FIELDS & given.keys() and given.get("consolidated") is not True:
            key = new_write_key()
            given = {**given, "write_key": key}
        return self._write(self._open().add(given)), key

    def edit(self, domain: str, given: Mapping[str, object]) -> SiteRecord:
        """Change some fields of a site.

        Raises:
            InvalidSiteError: A field is wrong.
        """
        return self._write(self._open().edit(domain, given))

    def rotate_key(
        self, domain: str, *, overlap_hours: float
    ) -> tuple[SiteRecord, str]:
        """Give a site a new key; the old ones stay valid for some hours.

        Returns:
            The site, and its new key. Nobody can learn the key later.

        Raises:
            InvalidSiteError: The hours are too many, or fewer than none.
        """
        if not 0 <= overlap_hours <= MAX_OVERLAP_HOURS:
            raise InvalidSiteError(
                [f"give `overlap_hours` as a number from 0 to {MAX_OVERLAP_HOURS:.0f}"]
            )
        key = new_write_key()
        book = self._open()
        record = book.rotate_key(domain, key, overlap_hours=overlap_hours)
        return self._write(record), key

    def remove(self, domain: str) -> SiteRecord:
        """Remove a site. Its events stay."""
        return self._write(self._open().remove(domain))

    def release(self, domain: str) -> SiteRecord:
        """Let a site go from its sites file, so that it can be changed here."""
        return self._write(self._open().release(domain))

    def apply(self, records: Sequence[SiteRecord], *, file: str) -> list[SiteRecord]:
        """Make a sites file the truth about what it names, and named before.

        Returns:
            What has changed.

        Raises:
            InvalidSiteError: It takes what belongs to a site that is kept elsewhere.
        """
        changed = self._open().apply(records, file=file)
        self._table.write(changed)
        return changed

    def _open(self) -> SiteBook:
        return SiteBook(self._table.read(), now_ms=self._clock_ms())

    def _write(self, record: SiteRecord) -> SiteRecord:
        self._table.write([record])
        return record
