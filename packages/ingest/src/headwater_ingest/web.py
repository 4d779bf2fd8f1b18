"""What web events are handled with: tables, open sessions, and the way through them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from headwater_ingest.data_files import DataFiles
from headwater_ingest.enrich.networks import NetworkSet
from headwater_ingest.http.event_trace import KeyholderTracer
from headwater_ingest.http.journal_buffer import JournalBuffer, RowJournal
from headwater_ingest.http.native import Door
from headwater_ingest.http.plausible import EventEndpoint
from headwater_ingest.in_force import InForce
from headwater_ingest.journal.counts import Count
from headwater_ingest.pipeline.enrichment import Enrichment
from headwater_ingest.pipeline.web.pipeline import WebPipeline
from headwater_ingest.pipeline.web.steps import WebSteps
from headwater_ingest.settings import Settings
from headwater_ingest.sites.gatekeeper import Gatekeeper
from headwater_ingest.telemetry.metrics import Metrics
from headwater_ingest.telemetry.state import WebState
from headwater_ingest.visitors.memory_store import MemorySessionStore
from headwater_ingest.visitors.redis_client import make_client
from headwater_ingest.visitors.sessions import LocalSessions, SessionStore
from headwater_schema.outcomes import Outcome

if TYPE_CHECKING:
    from headwater_ingest.visitors.redis_store import RedisSessionStore

SESSIONS_FILE: Final = "sessions.msgpack"
_LOOK_SECONDS: Final = 5.0

_log = structlog.stdlib.get_logger(__name__)


def now_ms() -> int:
    """Return the time, epoch milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Web:
    """The parts that belong to web events only.

    Attributes:
        files: The tables of enrichment.
        memory: The open sessions in the memory of this process.
        sessions_path: Where they are kept while the service does not run.
        redis: What shares sessions with other nodes, if anything does; `memory` is its
            substitute then.
    """

    files: DataFiles
    memory: MemorySessionStore
    sessions_path: Path
    redis: "RedisSessionStore | None" = None

    @property
    def sessions(self) -> SessionStore:
        """What the sessions of events come from."""
        return self.redis or self.memory

    def read(self) -> WebState:
        """Return how they are."""
        return replace(
            read_web(self.files, self.redis),
            sessions_open=len(self.memory),
            sessions_evicted=self.memory.evicted,
        )

    async def load_sessions(self) -> None:
        """Take up the sessions that were open when the service stopped."""
        if self.redis:
            return
        try:
            await asyncio.to_thread(self.memory.load, self.sessions_path)
        except (OSError, ValueError) as error:
            _log.warning("open sessions are lost", problem=str(error))

    async def save_sessions(self) -> None:
        """Keep the open sessions for the next start. No more events may come."""
        if self.redis:
            return
        try:
            await asyncio.to_thread(self.memory.save, self.sessions_path)
        except OSError as error:
            _log.warning("open sessions are lost", problem=str(error))


def read_web(files: DataFiles, redis: "RedisSessionStore | None") -> WebState:
    """Return how the parts are that each process has for itself."""
    caches = files.caches()
    return WebState(
        sessions_local=redis is not None and redis.is_away,
        events_local=0 if redis is None else redis.kept_here,
        cache_hits={name: info.hits for name, info in caches.items()},
        cache_misses={name: info.misses for name, info in caches.items()},
        data_problems=files.problems,
    )


@asynccontextmanager
async def open_web(settings: Settings) -> AsyncIterator[Web]:
    """Read the tables of enrichment, and keep them in step with their files.

    Raises:
        SessionStoreError: Sessions are to be in Redis, and that is not possible.
    """
    files = await asyncio.to_thread(DataFiles, settings)
    memory = MemorySessionStore(
        clock_s=time.monotonic, max_sessions=settings.max_sessions
    )
    async with open_redis(settings, memory) as redis:
        watching = asyncio.create_task(watch_files(files))
        try:
            yield Web(files, memory, settings.data_dir / SESSIONS_FILE, redis)
        finally:
            watching.cancel()


@asynccontextmanager
async def open_redis(
    settings: Settings, here: LocalSessions
) -> AsyncIterator["RedisSessionStore | None"]:
    """Share sessions through Redis, if that is how it is to be.

    Args:
        settings: Where Redis is.
        here: The sessions while it does not answer.

    Raises:
        SessionStoreError: That is not possible.
    """
    if settings.redis_url is None:
        yield None
        return
    client = make_client(settings.redis_url)
    # An extra: it can be imported only where there is a client.
    from headwater_ingest.visitors.redis_store import RedisSessionStore  # noqa: PLC0415

    store = RedisSessionStore(client, here=here)
    try:
        await store.start()
        yield store
    finally:
        await store.close()
        await client.aclose()


def make_event_endpoint(  # noqa: PLR0913  # its parts, each named
    settings: Settings,
    enrichment: Enrichment,
    *,
    sessions: SessionStore,
    shared: InForce,
    journal: RowJournal,
    door: Door,
    metrics: Metrics,
    clock: Callable[[], int] = now_ms,
) -> EventEndpoint:
    """Return the route of web events."""
    steps = WebSteps(
        enrichment, sites=shared.sites, gate=shared.gate, salts=shared.salts
    )
    ordered = steps.ordered()
    buffer = JournalBuffer(journal, partial(count_accepted, shared.gate, metrics))
    pipeline = WebPipeline(
        ordered, sessions=sessions, buffer=buffer, observe=metrics.observe_step
    )
    tracer = KeyholderTracer(
        ordered, sites=shared.sites, sessions=sessions, buffer=buffer
    )
    return EventEndpoint(
        pipeline,
        tracer=tracer,
        sites=shared.sites,
        trusted=NetworkSet.parse(settings.trusted_proxies),
        door=door,
        metrics=metrics,
        clock=clock,
    )


def count_accepted(
    gate: Gatekeeper, metrics: Metrics, counts: Sequence[Count], *, now_ms: int
) -> None:
    """Count web events that are on disk."""
    metrics.count_events(Outcome.ACCEPTED, sum(each.events for each in counts))
    for each in counts:
        gate.count_accepted(each.site_id, each.events, now_ms=now_ms)


async def watch_files(files: DataFiles) -> None:
    """Put in force what changes in the files of enrichment, for ever."""
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            await asyncio.to_thread(files.refresh)
        except Exception:  # noqa: BLE001 - a supervised loop: it goes on
            _log.exception("look at data files failed")
