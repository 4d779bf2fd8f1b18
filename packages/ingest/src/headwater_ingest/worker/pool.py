"""All workers of a service: started, kept in step with it, and ended with it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog

from headwater_ingest.errors import WorkersNotStartedError
from headwater_ingest.settings import Settings
from headwater_ingest.shared_state import SharedState
from headwater_ingest.site_sync import SitesInForce
from headwater_ingest.telemetry.metrics import Metrics
from headwater_ingest.telemetry.shared_metrics import make_directory
from headwater_ingest.telemetry.state import WebState, WorkersState
from headwater_ingest.visitors.salts import DaySalt
from headwater_ingest.web import now_ms
from headwater_ingest.worker.dealer import Dealer
from headwater_ingest.worker.limits import SharedLimits
from headwater_ingest.worker.owner_desk import OwnerDesk
from headwater_ingest.worker.protocol import Begin, PutSalts, PutSites
from headwater_ingest.worker.settings_codec import pack_settings
from headwater_ingest.worker.supervisor import WorkerSupervisor

_START_S: Final = 60.0
_LOOK_S: Final = 0.1
_AHEAD_MS: Final = 60_000
"""How long before midnight the salt of the next day is made, should there be none."""

_log = structlog.stdlib.get_logger(__name__)


class WorkerPool:
    """Takes the place of an HTTP server. For the event loop."""

    def __init__(
        self,
        settings: Settings,
        sock: socket.socket,
        *,
        shared: SharedState,
        limits: SharedLimits,
        metrics_dir: Path,
    ) -> None:
        """Prepare; `serve` starts them.

        Args:
            settings: How many there are to be, and what they are told.
            sock: What their connections come from.
            shared: What they are kept in step with.
            limits: What limits are kept by.
            metrics_dir: Where their metrics are.
        """
        self._shared = shared
        self._begin = Begin(pack_settings(settings), limits.clock_offset_ns)
        self._desk: OwnerDesk | None = None
        self._sites: SitesInForce | None = None
        self._salts: tuple[DaySalt, ...] = ()
        self._tasks: list[asyncio.Task[None]] = []
        self._workers = [
            WorkerSupervisor(
                number,
                fds=limits.fds,
                metrics_dir=str(metrics_dir),
                greet=self._greet,
            )
            for number in range(settings.workers)
        ]
        self._dealer = Dealer(sock, self._workers)

    def read(self) -> WorkersState:
        """Return how the workers are."""
        return WorkersState(
            wanted=len(self._workers),
            up=sum(each.is_up for each in self._workers),
            restarts=sum(each.restarts for each in self._workers),
        )

    def read_web(self) -> WebState:
        """Return what of web events is theirs alone."""
        state = WebState()
        for each in self._workers:
            state = state.plus(each.web)
        return state

    def answer_by(self, desk: OwnerDesk) -> None:
        """Name what answers the workers; before the start."""
        self._desk = desk

    async def start(self) -> None:
        """Start the workers, and return when they take requests.

        Raises:
            WorkersNotStartedError: None of them does.
        """
        if self._desk is None:
            raise RuntimeError("nobody would answer the workers")
        self._look()
        self._tasks = [
            asyncio.create_task(each.supervise(self._desk), name="worker supervisor")
            for each in self._workers
        ]
        started = [
            asyncio.create_task(each.has_started.wait()) for each in self._workers
        ]
        await asyncio.wait(started, timeout=_START_S)
        for task in started:
            task.cancel()
        if not self.read().up:
            raise WorkersNotStartedError(
                f"none of {len(self._workers)} workers took requests within "
                f"{_START_S:.0f} s: see the log above, or set HEADWATER_WORKERS to 1"
            )
        self._dealer.start()
        _log.info("workers started", workers=self.read().up)

    async def keep_in_step(self) -> None:
        """Tell the workers of changes of sites and salts, for ever."""
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                for order in self._look():
                    for each in self._workers:
                        each.tell(order)
            except Exception:  # noqa: BLE001 - a supervised loop: it goes on
                _log.exception("workers not kept in step")

    async def wait(self) -> None:
        """Return when a supervisor has ended, which it does only if told or broken."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def finish_requests(self) -> None:
        """Have the workers refuse what comes; return when all have ended."""
        self._dealer.stop()
        for each in self._workers:
            each.finish()
        await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """End what is left of the workers, and listen no more."""
        self._dealer.stop()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _greet(self) -> Iterator[Begin | PutSites | PutSalts]:
        yield self._begin
        if self._sites is not None:
            yield PutSites(*self._sites)
        yield PutSalts(self._salts)

    def _look(self) -> Sequence[PutSites | PutSalts]:
        """Return what has changed since the last look."""
        orders: list[PutSites | PutSalts] = []
        sites = self._shared.site_sync.in_force
        if sites is not None and sites is not self._sites:
            self._sites = sites
            orders.append(PutSites(*sites))
        # All workers must tell visitors apart by the same salt from midnight on.
        self._shared.salts.current(now_ms() + _AHEAD_MS)
        salts = self._shared.salts.known
        if salts != self._salts:
            self._salts = salts
            orders.append(PutSalts(salts))
        return orders


@asynccontextmanager
async def open_pool(
    settings: Settings,
    sock: socket.socket,
    *,
    shared: SharedState,
    limits: SharedLimits | None,
    metrics: Metrics,
) -> AsyncIterator[WorkerPool | None]:
    """Prepare workers, and see to it that none outlives the service.

    Without tables of limits for them there are to be none.
    """
    if limits is None:
        yield None
        return
    metrics_dir = make_directory(settings.data_dir)
    metrics.add_those_in(metrics_dir)
    pool = WorkerPool(
        settings, sock, shared=shared, limits=limits, metrics_dir=metrics_dir
    )
    keeping = asyncio.create_task(pool.keep_in_step())
    try:
        yield pool
    finally:
        keeping.cancel()
        await pool.close()
