"""Keeps the salts of this node in step with ClickHouse, and drops the old ones."""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import structlog

from headwater_ingest.clickhouse.salts import add_salts, drop_old_salts, read_salts
from headwater_ingest.clickhouse.session import open_session
from headwater_ingest.errors import ClickHouseError, ClickHouseUnreachableError
from headwater_ingest.shared_tables import SharedTables
from headwater_ingest.threads import in_thread
from headwater_ingest.visitors.salts import AGREE_MS, DAY_MS, DaySalt, Salts
from headwater_ingest.visitors.salts_file import write_salts

_LOOK_SECONDS: Final = 30.0
_RETRY_SECONDS: Final = AGREE_MS / 1000

_log = structlog.stdlib.get_logger(__name__)


class SaltSync:
    """The salts of one node, kept by its loop."""

    def __init__(
        self,
        salts: Salts,
        *,
        data_dir: Path,
        tables: SharedTables,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._salts = salts
        self._data_dir = data_dir
        self._tables = tables
        self._clock_ms = clock_ms
        self._saved: tuple[DaySalt, ...] = ()
        self._refusal: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether today's visitors are told apart by a salt of this node alone."""
        return not self._salts.is_shared(self._clock_ms())

    async def keep(self) -> None:
        """Look for changes for ever."""
        while True:
            seconds = _RETRY_SECONDS
            try:
                seconds = await self.look()
            except Exception:  # noqa: BLE001 - a supervised loop: it goes on
                _log.exception("look at salts failed")
            await asyncio.sleep(seconds)

    async def look(self) -> float:
        """Bring the salts up to date, here and in the table.

        Returns:
            After how many seconds to look again.
        """
        self._salts.forget(now_ms=self._clock_ms())
        has_written = False
        if self._tables.are_ready():
            try:
                has_written = await self._share()
            except ClickHouseError as error:
                self._note(error)
        # Without the table, today's is made here, and not when the first event comes.
        self._salts.current(self._clock_ms())
        await self._save()
        return _RETRY_SECONDS if has_written or self.is_local else _LOOK_SECONDS

    async def _share(self) -> bool:
        """Exchange salts with the table; returns whether anything was written to it."""
        now_ms = self._clock_ms()
        offers = self._salts.offers(now_ms=now_ms)
        yesterday = now_ms // DAY_MS - 1
        shared, has_written = await in_thread(lambda: self._exchange(offers, yesterday))
        self._salts.adopt(shared, now_ms=self._clock_ms())
        await in_thread(self._drop_old)
        self._note(None)
        return has_written

    def _exchange(
        self, offers: Mapping[int, bytes], since: int
    ) -> tuple[Mapping[int, bytes], bool]:
        with open_session(self._tables.url) as client:
            shared = read_salts(client, since=since)
            absent = {day: salt for day, salt in offers.items() if day not in shared}
            if absent:
                add_salts(client, absent)
                shared = read_salts(client, since=since)
            return shared, bool(absent)

    def _drop_old(self) -> None:
        with open_session(self._tables.url) as client:
            drop_old_salts(client)

    async def _save(self) -> None:
        known = self._salts.known
        if known == self._saved:
            return
        try:
            await in_thread(lambda: write_salts(self._data_dir, known))
        except OSError as error:
            _log.warning("salts not saved", problem=str(error))
        self._saved = known

    def _note(self, error: ClickHouseError | None) -> None:
        """Log what ClickHouse refuses; that it is away is told elsewhere."""
        is_away = isinstance(error, ClickHouseUnreachableError)
        refusal = None if error is None or is_away else str(error)
        if refusal and refusal != self._refusal:
            _log.warning("salts not shared", problem=refusal)
        self._refusal = refusal
