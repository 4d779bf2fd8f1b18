"""Keeps the sites of this node in step with ClickHouse and with the sites file.

Two things can be the truth about a site: the table in ClickHouse, or the sites file of
a node. What the file names is as the file says: on this node from the moment the file
is read, on all others once it has been applied to the table. Everything else is as the
table says. What the table said last is kept on disk, for a start without ClickHouse.

`first_site.py` says when a node writes a site of its own.
"""

import asyncio
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import structlog

from headwater_ingest.clickhouse.client import Client
from headwater_ingest.clickhouse.session import open_session
from headwater_ingest.clickhouse.sites import (
    Fingerprint,
    read_fingerprint,
    read_records,
    read_usage,
    write_records,
)
from headwater_ingest.errors import (
    ClickHouseError,
    ClickHouseUnreachableError,
    InvalidSiteError,
    SitesFileError,
)
from headwater_ingest.first_site import begin_sites
from headwater_ingest.shared_tables import SharedTables
from headwater_ingest.sites.known_sites import KnownSites
from headwater_ingest.sites.quota import MonthlyUsage
from headwater_ingest.sites.record import SiteRecord, to_sites
from headwater_ingest.sites.registry import SiteRegistry
from headwater_ingest.sites.site_book import SiteBook
from headwater_ingest.sites.sites_file import SitesFile, describe_loss
from headwater_ingest.threads import in_thread

LOOK_SECONDS: Final = 2.0
"""How often the table and the file are looked at; far less than the 10 s promised."""

_UNKNOWN: Final = (
    "no sites file and no sight of the table yet: events are answered with 503 until "
    "ClickHouse is there; write a sites file to take them before"
)

_log = structlog.stdlib.get_logger(__name__)


SitesInForce = tuple[list[SiteRecord], bool]
"""All sites, and whether there can be no others."""


@dataclass(frozen=True, slots=True)
class _Usage:
    """What all nodes together have accepted in a month, by site."""

    month: date
    counts: Mapping[int, int]


class SiteSync:
    """The sites of one node. Its looks are made one after another, each in a thread."""

    def __init__(
        self,
        registry: SiteRegistry,
        usage: MonthlyUsage,
        *,
        file: SitesFile,
        data_dir: Path,
        tables: SharedTables,
    ) -> None:
        self._registry = registry
        self._usage = usage
        self._file = file
        self._data_dir = data_dir
        self._tables = tables
        self._woken = asyncio.Event()
        self._saved = KnownSites()
        self._known: list[SiteRecord] = []
        self._fingerprint: Fingerprint | None = None
        self._in_file: frozenset[int] = frozenset()
        self._is_applied = False
        self._may_write_file = False
        self._has_seen_table = False
        self._in_force: SitesInForce | None = None
        self._conflict: str | None = None
        self._loss: str | None = None
        self._refusal: str | None = None

    @property
    def in_force(self) -> SitesInForce | None:
        """The sites in force; None while none is known.

        As long as nothing changes it is the same object.
        """
        return self._in_force

    @property
    def problem(self) -> str | None:
        """What is wrong with the sites file; None when all is well."""
        return self._file.problem or self._loss or self._conflict

    @property
    def is_stale(self) -> bool:
        """Whether ClickHouse is there and will not let us read or write the table."""
        return self._refusal is not None

    async def begin(self, *, may_write_file: bool) -> None:
        """Put in force what is known, and write a first sites file if nothing is.

        While the table cannot be seen, neither is done: there may be sites in it.

        Args:
            may_write_file: Whether the operator has named no file.

        Raises:
            SitesFileError: The first file cannot be written.
        """
        await in_thread(self._recall)
        self._may_write_file = may_write_file and not self._file.is_loaded
        await self.look()
        if self._in_force is None:
            _log.warning("sites unknown", problem=_UNKNOWN)

    async def keep(self) -> None:
        """Look for changes for ever."""
        while True:
            await self._pause()
            try:
                await self.look()
            except SitesFileError as error:
                _log.error("first sites file not written", problem=str(error))
            except Exception:  # noqa: BLE001 - a supervised loop: it goes on
                _log.exception("look at sites failed")

    async def look(self) -> None:
        """Take up what has changed in the table and in the file."""
        usage = await in_thread(self._go_round)
        sites = self._registry.sites
        self._usage.watch(site.id for site in sites if site.monthly_quota is not None)
        if usage:
            self._usage.learn(usage.month, usage.counts, now_ms=_now_ms())

    def wake(self) -> None:
        """Look for changes now."""
        self._woken.set()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._woken.wait()
        self._woken.clear()

    def _recall(self) -> None:
        self._saved = KnownSites.read(self._data_dir)
        self._known = list(self._saved.records)
        self._in_file = frozenset(self._saved.in_file)

    def _go_round(self) -> _Usage | None:
        """Take file to table, table to what is in force, and what is known to disk."""
        if self._file.refresh():
            self._is_applied = False
        usage = None
        if self._tables.are_ready():
            try:
                with open_session(self._tables.url) as client:
                    usage = self._converse(client)
                self._note(None)
            except ClickHouseError as error:
                self._note(error)
        self._put_in_force()
        self._save()
        return usage

    def _converse(self, client: Client) -> _Usage:
        fingerprint = read_fingerprint(client)
        if fingerprint != self._fingerprint:
            self._known = read_records(client)
            self._fingerprint = fingerprint
        self._has_seen_table = True
        if self._may_write_file:
            self._known = begin_sites(client, self._file, self._known)
            self._may_write_file = False
        if self._file.records and not self._is_applied:
            self._apply_file(client)
        month = datetime.now(UTC).date()
        limited = [each.id for each in self._merge() if each.monthly_quota is not None]
        return _Usage(month, read_usage(client, month, limited))

    def _apply_file(self, client: Client) -> None:
        """Make the file the truth for all nodes, or say why that cannot be."""
        book = SiteBook(self._known, now_ms=_now_ms())
        records, name = self._file.records, self._file.name
        try:
            changed = book.apply(records, file=name, dropped=self._in_file)
        except InvalidSiteError as error:
            self._tell_conflict(str(error))
            return
        if changed:
            write_records(client, changed)
            self._known = read_records(client)
            domains = sorted(record.domain for record in changed)
            _log.info("sites file applied", file=name, changed=domains)
        self._tell_conflict(None)
        self._in_file = frozenset(record.id for record in records)
        self._is_applied = True

    def _merge(self) -> list[SiteRecord]:
        file = self._file
        # A file that is gone takes nothing with it: its clients would be told that
        # their keys are unknown, and give their events up.
        dropped = self._in_file if file.is_loaded else frozenset()
        return merge_sites(
            self._known, file.records, kept_in=file.name, dropped=dropped
        )

    def _find_loss(self) -> None:
        file, known = self._file, self._known
        live = [record for record in known if not record.removed]
        loss = None if file.is_loaded else describe_loss(file.path, live)
        if loss and loss != self._loss:
            _log.warning("sites file gone", problem=loss)
        self._loss = loss

    def _put_in_force(self) -> None:
        self._find_loss()
        sites = self._merge()
        if not (sites or self._has_seen_table):
            return
        in_force = sites, self._has_seen_table
        if in_force != self._in_force:
            self._registry.replace(to_sites(sites), are_all=self._has_seen_table)
            self._in_force = in_force

    def _save(self) -> None:
        live = tuple(record for record in self._known if not record.removed)
        known = KnownSites(live, tuple(sorted(self._in_file)))
        if known == self._saved:
            return
        try:
            known.write(self._data_dir)
        except OSError as error:
            _log.warning("known sites not saved", problem=str(error))
        self._saved = known

    def _tell_conflict(self, problem: str | None) -> None:
        if problem and problem != self._conflict:
            _log.warning("sites file not applied to the table", problem=problem)
        self._conflict = problem

    def _note(self, error: ClickHouseError | None) -> None:
        """Keep what ClickHouse refuses; that it is away is told elsewhere."""
        is_away = isinstance(error, ClickHouseUnreachableError)
        refusal = None if error is None or is_away else str(error)
        if refusal and refusal != self._refusal:
            _log.warning("sites not read, the last known ones stay", problem=refusal)
        self._refusal = refusal


def merge_sites(
    known: Collection[SiteRecord],
    in_file: Collection[SiteRecord],
    *,
    kept_in: str,
    dropped: Collection[int],
) -> list[SiteRecord]:
    """Return the sites in force on a node.

    Args:
        known: The records of the table.
        in_file: The records of the sites file.
        kept_in: How the table calls the file.
        dropped: Sites that the file named when it was last applied. Those it no longer
            names are gone, even if the table does not say so yet.
    """
    named = {record.id for record in in_file}
    of_table = [
        record
        for record in known
        if not record.removed
        and record.id not in named
        and not (record.kept_in == kept_in and record.id in dropped)
    ]
    return [*of_table, *in_file]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
