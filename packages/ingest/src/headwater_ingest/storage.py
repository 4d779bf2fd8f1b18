"""What lies behind the journal: ClickHouse, its tables, and the writer.

The writer runs only once the tables are known to be right. Until then, and whenever
ClickHouse is away, rows wait in the journal; this module tries again for as long as it
takes, and says how things are.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog

from headwater_ingest.clickhouse.client import ClickHouseUrl, connect
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse, find_running
from headwater_ingest.clickhouse.migrate import migrate
from headwater_ingest.clickhouse.template import Topology
from headwater_ingest.errors import (
    ClickHouseError,
    ClickHouseTooOldError,
    SchemaError,
)
from headwater_ingest.settings import Settings
from headwater_ingest.telemetry.state import WriterState
from headwater_ingest.threads import in_thread
from headwater_ingest.writer import (
    FailureKind,
    WriterSettings,
    WriterStatus,
    WriterSupervisor,
)

_LOOK_SECONDS = 10.0
_RETRY_SECONDS = 2.0
_PING_SECONDS = 3.0

_log = structlog.stdlib.get_logger(__name__)


class Storage:
    """ClickHouse and the writer, as the service sees them. For the event loop."""

    def __init__(
        self, settings: Settings, url: ClickHouseUrl, server: EmbeddedClickHouse | None
    ) -> None:
        self._url = url
        self._topology = Topology(settings.clickhouse_cluster)
        self._server = server
        self._writer = WriterSupervisor(
            _writer_settings(settings, url), on_status=self._follow
        )
        self._failures: Counter[str] = Counter()
        self._rows_dead = 0
        self._problem: str | None = None
        self.schema_ready = False

    @property
    def url(self) -> ClickHouseUrl:
        """Where ClickHouse is."""
        return self._url

    @property
    def clickhouse_up(self) -> bool:
        """Whether ClickHouse answered when it was last asked or written to."""
        is_dead = self._server is not None and not self._server.alive
        is_reached = _kind_of(self._writer.status) is not FailureKind.TRANSIENT
        return self._problem is None and not is_dead and is_reached

    @property
    def clickhouse_restarts(self) -> int:
        """How many times the embedded ClickHouse was started again."""
        return self._server.restarts if self._server else 0

    @property
    def writer_state(self) -> WriterState:
        """How the writer is."""
        status = self._writer.status
        return WriterState(
            up=self._writer.is_up or self._is_starting(),
            held_by=_kind_of(status),
            rows_written=status.rows_written,
            rows_dead=status.rows_dead,
            blocks_written=status.blocks_written,
            insert_seconds=status.insert_seconds,
            failures=dict(self._failures),
            restarts=self._writer.restarts,
        )

    async def begin(self) -> None:
        """Make the tables and start the writer, now or as soon as that is possible.

        Raises:
            SchemaError: The tables are not for this release.
            ClickHouseTooOldError: The server is not for this release.
        """
        try:
            await self._prepare()
        except (SchemaError, ClickHouseTooOldError):
            raise
        except ClickHouseError as error:
            self._note(error)

    async def keep(self) -> None:
        """Look after ClickHouse for ever: ask it now and then, prepare it once."""
        while True:
            is_well = self.schema_ready and self._problem is None
            await asyncio.sleep(_LOOK_SECONDS if is_well else _RETRY_SECONDS)
            try:
                await (self._ping() if self.schema_ready else self._prepare())
                self._note(None)
            except ClickHouseError as error:
                self._note(error)
            except Exception:  # noqa: BLE001 - a supervised loop: it goes on
                _log.exception("look at clickhouse failed")

    async def drain(self, seconds: float) -> None:
        """Write what the journal holds, within a time, and end the writer."""
        if self.schema_ready:
            await self._writer.drain(seconds)

    async def end(self) -> None:
        """End the writer at once; what it has not written stays in the journal."""
        await self._writer.kill()

    async def _prepare(self) -> None:
        applied = await in_thread(lambda: migrate(self._url, self._topology))
        _log.info("tables ready", applied=applied, clickhouse=self._url.redacted())
        self.schema_ready = True
        self._writer.start()

    async def _ping(self) -> None:
        await in_thread(lambda: _ask(self._url))

    def _is_starting(self) -> bool:
        """Whether the first process was started and has not said anything yet."""
        status, restarts = self._writer.status, self._writer.restarts
        return self.schema_ready and status.state == "starting" and not restarts

    def _follow(self, status: WriterStatus) -> None:
        self._count_failures(status)
        if dead := status.rows_dead - self._rows_dead:
            _log.warning(
                "clickhouse refuses rows, they are kept as dead letters",
                rows=dead,
                next="headwater-ingest deadletters list",
            )
        self._rows_dead = status.rows_dead

    def _count_failures(self, status: WriterStatus) -> None:
        """Count new failures by kind; those that have passed were transient."""
        kind = _kind_of(status) or FailureKind.TRANSIENT
        self._failures[kind] += status.failures - self._failures.total()

    def _note(self, error: ClickHouseError | None) -> None:
        """Keep what is wrong, and log it if it is news."""
        problem = None if error is None else str(error)
        if problem == self._problem:
            return
        self._problem = problem
        if problem is None:
            _log.info("clickhouse back")
        else:
            _log.warning("clickhouse away, rows wait in the journal", problem=problem)


@asynccontextmanager
async def open_storage(
    settings: Settings, *, in_a_hurry: Callable[[], bool]
) -> AsyncIterator[Storage]:
    """Start ClickHouse if it is ours, prepare it, and look after it until the end.

    Args:
        settings: Where it is.
        in_a_hurry: Whether the end must not wait for ClickHouse's own clients.

    Raises:
        ClickHouseError: The service cannot begin with it; one that is merely away is
            no error.
    """
    async with _open_clickhouse(settings, in_a_hurry) as (url, server):
        storage = Storage(settings, url, server)
        await storage.begin()
        keeping = asyncio.create_task(storage.keep())
        try:
            yield storage
        finally:
            keeping.cancel()
            await storage.end()


def migrate_once(settings: Settings) -> list[str]:
    """Apply what is missing, on a server that runs or on the embedded one.

    Returns:
        The names of the migrations that were applied.

    Raises:
        ClickHouseError: That was not possible.
    """
    with reach_clickhouse(settings) as url:
        return migrate(url, Topology(settings.clickhouse_cluster))


@contextmanager
def reach_clickhouse(settings: Settings) -> Iterator[ClickHouseUrl]:
    """Say where ClickHouse is; the embedded one is run meanwhile if nobody else does.

    Raises:
        ClickHouseError: The embedded one does not start.
    """
    if not settings.is_embedded:
        yield ClickHouseUrl.parse(settings.clickhouse_url)
    elif running := find_running(settings.clickhouse_dir):
        yield running
    else:
        with _embedded(settings) as server:
            yield server.url


@asynccontextmanager
async def _open_clickhouse(
    settings: Settings, in_a_hurry: Callable[[], bool]
) -> AsyncIterator[tuple[ClickHouseUrl, EmbeddedClickHouse | None]]:
    if not settings.is_embedded:
        yield ClickHouseUrl.parse(settings.clickhouse_url), None
        return
    server = _embedded(settings)
    await asyncio.to_thread(server.start)
    try:
        yield server.url, server
    finally:
        if in_a_hurry():
            await asyncio.to_thread(server.stop, timeout_s=0)
        else:
            await asyncio.to_thread(server.stop)


def _embedded(settings: Settings) -> EmbeddedClickHouse:
    return EmbeddedClickHouse(
        settings.clickhouse_dir, max_memory_bytes=settings.clickhouse_memory_bytes
    )


def _writer_settings(settings: Settings, url: ClickHouseUrl) -> WriterSettings:
    return WriterSettings(
        directory=str(settings.data_dir),
        clickhouse_url=url.with_password(),
        block_rows=settings.block_rows,
        block_age_ms=round(settings.block_seconds * 1000),
        dead_letter_run=settings.dead_letter_run,
        dead_letter_share=settings.dead_letter_share,
        archive_days=settings.archive_days,
        archive_max_bytes=settings.archive_max_bytes,
    )


def _kind_of(status: WriterStatus) -> FailureKind | None:
    return status.last_error.kind if status.last_error else None


def _ask(url: ClickHouseUrl) -> None:
    connect(url, connect_timeout_s=_PING_SECONDS, timeout_s=_PING_SECONDS).disconnect()
