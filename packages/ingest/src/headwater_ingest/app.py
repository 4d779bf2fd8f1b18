"""The composition root: what `serve` is made of, and the order of start and stop.

Start: address, journal, sites, ClickHouse and its tables, writer, HTTP. The stop runs
backwards, each step within its deadline. What was acknowledged is on disk before the
answer, so a stop that is cut short loses nothing.
"""

import asyncio
import gc
import os
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import structlog
from starlette.applications import Starlette

from headwater_ingest.http.health import health_routes
from headwater_ingest.http.intake import Intake
from headwater_ingest.http.routes import ingest_routes
from headwater_ingest.http.server import HttpServer, listen
from headwater_ingest.journal import Journal
from headwater_ingest.lifecycle import Lifecycle
from headwater_ingest.node import Node
from headwater_ingest.service_file import ServiceFile
from headwater_ingest.settings import Settings
from headwater_ingest.sites import SiteRegistry
from headwater_ingest.sites.sites_file import SitesFile
from headwater_ingest.sites.sites_toml import FIRST_DOMAIN, write_first_file
from headwater_ingest.storage import open_storage
from headwater_ingest.telemetry.metrics import Metrics
from headwater_ingest.version import VERSION

_SITES_SECONDS = 2.0
_REQUEST_SECONDS = 5.0

_log = structlog.stdlib.get_logger(__name__)


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
        sites = SiteRegistry()
        sites_file = await stack.enter_async_context(_open_sites(settings, sites))
        storage = await stack.enter_async_context(
            open_storage(settings, in_a_hurry=lambda: lifecycle.in_a_hurry)
        )
        node = Node(
            lifecycle=lifecycle,
            journal=journal,
            sites=sites,
            sites_file=sites_file,
            storage=storage,
            degraded_after_seconds=settings.degraded_after_seconds,
        )
        metrics.read_from(node.read)
        server = HttpServer(_application(node, metrics), sock)
        await server.start()
        stack.enter_context(_announced(settings, sock))
        stack.enter_context(_in_background(node.report()))
        _freeze_heap()
        await _wait_for_the_end(lifecycle, server)
        await _stop(node, server, settings)


@asynccontextmanager
async def _open_journal(settings: Settings, metrics: Metrics) -> AsyncIterator[Journal]:
    journal = await asyncio.to_thread(
        Journal.open,
        settings.data_dir,
        max_bytes=settings.journal_max_bytes,
        on_commit=metrics.observe_commit,
    )
    try:
        yield journal
    finally:
        await asyncio.to_thread(journal.close)


@asynccontextmanager
async def _open_sites(
    settings: Settings, registry: SiteRegistry
) -> AsyncIterator[SitesFile]:
    """Load the sites, and keep them in step with their file."""
    path = settings.sites_path
    if settings.sites_file is None and not path.exists():
        write_first_file(path)
        _log.info("first sites file written", file=str(path), domain=FIRST_DOMAIN)
    sites_file = SitesFile(path, registry)
    sites_file.load()
    with _in_background(_watch(sites_file)):
        yield sites_file


@contextmanager
def _in_background(work: Coroutine[Any, Any, None]) -> Iterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()


async def _watch(sites_file: SitesFile) -> None:
    while True:
        await asyncio.sleep(_SITES_SECONDS)
        await asyncio.to_thread(sites_file.refresh)


def _application(node: Node, metrics: Metrics) -> Starlette:
    intake = Intake(sites=node.sites, journal=node.journal, metrics=metrics)
    return Starlette(
        routes=[
            *ingest_routes(intake, door=node.lifecycle, metrics=metrics),
            *health_routes(node.read, metrics),
        ]
    )


@contextmanager
def _announced(settings: Settings, sock: socket.socket) -> Iterator[None]:
    """Say where the service listens, in the log and in a file."""
    file = ServiceFile.describe(sock, os.getpid())
    file.write(settings.data_dir)
    _log.info("listening", url=file.url, host=file.host, port=file.port, pid=file.pid)
    try:
        yield
    finally:
        file.remove(settings.data_dir)


def _freeze_heap() -> None:
    """Spare the collector what lives until the end."""
    gc.collect()
    gc.freeze()


async def _wait_for_the_end(lifecycle: Lifecycle, server: HttpServer) -> None:
    """Return when a stop was asked for, or raise what ended the server."""
    asked = asyncio.create_task(lifecycle.wait_for_stop())
    ended = asyncio.create_task(server.wait())
    await asyncio.wait({asked, ended}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if ended.done():
        ended.result()
    ended.cancel()


async def _stop(node: Node, server: HttpServer, settings: Settings) -> None:
    """Stop taking requests, then write what the journal holds."""
    lifecycle = node.lifecycle
    await lifecycle.pause(settings.not_ready_seconds)
    lifecycle.refusing = True
    await lifecycle.bounded(server.finish_requests(), _REQUEST_SECONDS)
    await server.close()
    drain_seconds = settings.drain_seconds
    await lifecycle.bounded(node.storage.drain(drain_seconds), drain_seconds + 5)
    _log.info("stopped", rows_left=(await node.journal.refresh()).rows_pending)
