"""Has expired events deleted once a day, on every node; the second finds nothing."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Final

import structlog

from headwater_ingest.clickhouse.retention import (
    Expiry,
    delete_expired,
    find_cutoffs,
)
from headwater_ingest.clickhouse.session import open_session
from headwater_ingest.clickhouse.sites import read_records
from headwater_ingest.clickhouse.template import Topology
from headwater_ingest.errors import ClickHouseError
from headwater_ingest.shared_tables import SharedTables
from headwater_ingest.threads import in_thread

_LOOK_SECONDS: Final = 300.0
_TIMEOUT_S: Final = 300.0

_log = structlog.stdlib.get_logger(__name__)


def _today() -> date:
    return datetime.now(UTC).date()


class Retention:
    """Keeps to the retention of each site. For the event loop."""

    def __init__(
        self,
        tables: SharedTables,
        topology: Topology,
        *,
        today: Callable[[], date] = _today,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            tables: Where the sites and their events are.
            topology: What the tables are spread over.
            today: The day in UTC.
        """
        self._tables = tables
        self._topology = topology
        self._today = today
        self._done: date | None = None

    async def keep(self) -> None:
        """Look every few minutes, for ever, whether a new day has begun."""
        while True:
            try:
                await self.look()
            except ClickHouseError as error:
                _log.warning("expired events not deleted", problem=str(error))
            except Exception:  # noqa: BLE001 - a supervised loop: it goes on
                _log.exception("deletion of expired events failed")
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Delete what has expired, if that was not done today.

        Raises:
            Exception: That did not work; the next look tries again.
        """
        today = self._today()
        if self._done == today or not self._tables.are_ready():
            return
        expiry = await in_thread(lambda: self._delete(today))
        if expiry != Expiry():
            _log.info("deleted expired rows", parts=expiry.parts, rows=expiry.rows)
        self._done = today

    def _delete(self, today: date) -> Expiry:
        with open_session(self._tables.url, timeout_s=_TIMEOUT_S) as client:
            cutoffs = find_cutoffs(read_records(client), today)
            return delete_expired(client, cutoffs, self._topology)
