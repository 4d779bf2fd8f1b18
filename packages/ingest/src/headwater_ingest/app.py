"""The composition root: what `serve` is made of, and the order of start and stop.

Start: address, journal, sites file, ClickHouse and its tables, writer, what the nodes
share (sites, salts), HTTP. The stop runs backwards, each step within its deadline.
What was acknowledged is on disk before the answer, so a stop that is cut short loses
nothing.
"""

import asyncio
import gc
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, Protocol

import msgspec
import structlog
from starlette.routing import Route

from headwater_ingest.clickhouse.sites import ClickHouseSites
from headwater_ingest.clickhouse.template import Topology
from headwater_ingest.errors import JournalError
from headwater_ingest.http.admin import AdminApi
from headwater_ingest.http.health import health_routes
from headwater_ingest.http.intake import Intake
from headwater_ingest.http.routes import Application, event_route, ingest_routes
from headwater_ingest.http.server import HttpServer, listen
from headwater_ingest.huge_pages import start_using_huge_pages
from headwater_ingest.journal import Journal
from headwater_ingest.lifecycle import Lifecycle
from headwater_ingest.node import Node
from headwater_ingest.pipeline.end_user import EndUserSteps
from headwater_ingest.retention import Retention
from headwater_ingest.service_file import ServiceFile
from headwater_ingest.settings import Settings
from headwater_ingest.shared_state import load_sites_file, open_shared_state
from headwater_ingest.shared_tables import SharedTables
from headwater_ingest.sites.administration import SiteAdministration
from headwater_ingest.storage import open_storage
from headwater_ingest.telemetry.loop_lag import watch_loop_lag
from headwater_ingest.telemetry.metrics import Metrics
from headwater_ingest.version import VERSION
from headwater_ingest.web import make_event_endpoint, now_ms, open_web
from headwater_ingest.worker.limits import SharedLimits, open_limits
from headwater_ingest.worker.owner_desk import OwnerDesk
from headwater_ingest.worker.pool import open_pool

_REQUEST_SECONDS = 5.0

_log = structlog.stdlib.get_logger(__name__)


class Server(Protocol):
    """What takes requests: this process, or workers."""

    async def start(self) -> None:
        """Returns when requests are answered."""

    async def wait(self) -> None:
        """Returns when it has ended, which it does only if told or broken."""

    async def finish_requests(self) -> None:
        """Returns when the requests that are in flight now have been answered."""

    async def close(self) -> None:
        """Ends it."""


async def serve(settings: Settings) -> None:
    """Run the service until a signal ends it.

    Raises:
        HeadwaterError: It cannot start; the message says what to do.
    """
    lifecycle = Lifecycle()
    metrics = Metrics(VERSION)
    async with AsyncExitStack() as stack:
        stack.enter_context(lifecycle.on_signals())
        sock = stack.enter_context(listen(settings.listen_host, settings.port))
        journal = await stack.enter_async_context(_open_journal(settings, metrics))
        limits = stack.enter_context(_open_limits(settings))
        sites_file = await asyncio.to_thread(load_sites_file, settings)
        storage = await stack.enter_async_context(
            open_storage(settings, in_a_hurry=lambda: lifecycle.in_a_hurry)
        )
        tables = SharedTables(storage.url, lambda: storage.schema_ready)
        shared = await stack.enter_async_context(
            open_shared_state(
                settings, sites_file, tables, gate=limits.gate if limits else None
            )
        )
        web = await stack.enter_async_context(open_web(settings))
        pool = await stack.enter_async_context(
            open_pool(settings, sock, shared=shared, limits=limits, metrics=metrics)
        )
        node = Node(
            lifecycle=lifecycle,
            journal=journal,
            shared=shared,
            storage=storage,
            web=web,
            degraded_after_seconds=settings.degraded_after_seconds,
            workers=pool,
        )
        journal.divide_among(lambda: shared.sites.receivers)
        metrics.read_from(node.read)
        metrics.read_accounts_from(node.read_accounts)
        app = make_application(settings, node, metrics)
        if pool:
            pool.answer_by(OwnerDesk(journal, web.memory, app))
        server: Server = pool or HttpServer(app, sock, takers=app.takers)
        # Not before: a start that fails must leave them where they are.
        await web.load_sessions()
        await server.start()
        stack.enter_context(_announced(settings, sock))
        stack.enter_context(_in_background(node.report()))
        lag = watch_loop_lag(metrics.observe_loop_lag)
        stack.enter_context(_in_background(lag))
        retention = Retention(tables, Topology(settings.clickhouse_cluster))
        stack.enter_context(_in_background(retention.keep()))
        _freeze_heap()
        start_using_huge_pages()
        await _wait_for_the_end(lifecycle, server)
        await _stop(node, server, settings)


@asynccontextmanager
async def _open_journal(settings: Settings, metrics: Metrics) -> AsyncIterator[Journal]:
    journal = await asyncio.to_thread(
        Journal.open,
        settings.data_dir,
        max_bytes=settings.journal_max_bytes,
        window_events=settings.window_events,
        on_commit=metrics.observe_commit,
    )
    try:
        yield journal
    finally:
        await asyncio.to_thread(journal.close)


@contextmanager
def _open_limits(settings: Settings) -> Iterator[SharedLimits | None]:
    """Make tables of limits for workers, if there are to be any."""
    if settings.workers == 1:
        yield None
        return
    with open_limits(settings.data_dir) as limits:
        yield limits


@contextmanager
def _in_background(work: Coroutine[Any, Any, None]) -> Iterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()


def make_application(
    settings: Settings,
    node: Node,
    metrics: Metrics,
    *,
    clock: Callable[[], int] = now_ms,
) -> Application:
    """Return what answers requests on a node.

    Args:
        settings: How to.
        node: Its parts.
        metrics: What is counted on the way.
        clock: Says when a web event arrives, epoch milliseconds.
    """
    endpoint = make_event_endpoint(
        settings,
        node.web.files.enrichment,
        sessions=node.web.sessions,
        shared=node.shared,
        journal=node.journal,
        door=node.lifecycle,
        metrics=metrics,
        clock=clock,
    )
    intake = Intake(
        sites=node.shared.sites,
        gate=node.shared.gate,
        end_users=EndUserSteps(node.web.files.enrichment),
        journal=node.journal,
        metrics=metrics,
    )
    return Application(
        routes=[
            event_route(endpoint),
            *ingest_routes(intake, door=node.lifecycle, metrics=metrics),
            *health_routes(node.read, metrics),
            *_admin_routes(settings, node),
        ]
    )


def _admin_routes(settings: Settings, node: Node) -> list[Route]:
    if settings.admin_token is None:
        return []
    administration = SiteAdministration(ClickHouseSites(node.storage.url))
    wake = node.shared.site_sync.wake
    api = AdminApi(administration, token=settings.admin_token, on_change=wake)
    return api.routes()


@contextmanager
def _announced(settings: Settings, sock: socket.socket) -> Iterator[None]:
    """Say where the service listens, in the log and in a file."""
    file = ServiceFile.describe(sock, os.getpid(), workers=settings.workers)
    file.write(settings.data_dir)
    _log.info("listening", url=file.url, **msgspec.structs.asdict(file))
    try:
        yield
    finally:
        file.remove(settings.data_dir)


def _freeze_heap() -> None:
    """Spare the collector what lives until the end."""
    gc.collect()
    gc.freeze()


async def _wait_for_the_end(lifecycle: Lifecycle, server: Server) -> None:
    """Return when a stop was asked for, or raise what ended the server."""
    asked = asyncio.create_task(lifecycle.wait_for_stop())
    ended = asyncio.create_task(server.wait())
    await asyncio.wait({asked, ended}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if ended.done():
        ended.result()
    ended.cancel()


async def _stop(node: Node, server: Server, settings: Settings) -> None:
    """Stop taking requests, then write what the journal holds."""
    lifecycle = node.lifecycle
    await lifecycle.pause(settings.not_ready_seconds)
    lifecycle.refusing = True
    await lifecycle.bounded(server.finish_requests(), _REQUEST_SECONDS)
    await server.close()
    await node.web.save_sessions()
    await _flush_counts(node)
    drain_seconds = settings.drain_seconds
    await lifecycle.bounded(node.storage.drain(drain_seconds), drain_seconds + 5)
    _log.info("stopped", rows_left=(await node.journal.refresh()).rows_pending)


async def _flush_counts(node: Node) -> None:
    """Put what was counted lately into the journal, so that it is written with it."""
    try:
        await node.journal.flush_counts()
    except JournalError as error:
        _log.warning("the counts of the last second are lost", problem=str(error))
