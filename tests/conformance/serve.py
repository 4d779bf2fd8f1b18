"""The service as it runs, but with a clock, salts, sites and a peer that cases choose.

Run as `python -m tests.conformance.serve`, with the settings of the service in its
environment. `POST /conformance/begin` sets up a case, `POST /conformance/change` lets
time pass, `GET /conformance/seen` tells what the pipeline got, and
`POST /conformance/flush` answers when all rows are in ClickHouse.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal

import msgspec
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.conformance.world import CaseSalts, Change, Seen, Setup, World, make_sites

from headwater_ingest.app import make_application
from headwater_ingest.data_files import DataFiles
from headwater_ingest.enrich.currency import Rates
from headwater_ingest.http.answer import Answer
from headwater_ingest.http.direct import RawHeaders, Taker
from headwater_ingest.http.plausible import EventEndpoint
from headwater_ingest.http.server import HttpServer, listen
from headwater_ingest.journal import Journal
from headwater_ingest.lifecycle import Lifecycle
from headwater_ingest.node import Node
from headwater_ingest.pipeline.web.pipeline import Result, Settle, WebPipeline
from headwater_ingest.pipeline.web.request import WebRequest
from headwater_ingest.salt_sync import SaltSync
from headwater_ingest.service_file import ServiceFile
from headwater_ingest.settings import Settings
from headwater_ingest.settings_reader import load_settings
from headwater_ingest.shared_state import SharedState
from headwater_ingest.shared_tables import SharedTables
from headwater_ingest.site_sync import SiteSync
from headwater_ingest.sites.gatekeeper import Gatekeeper
from headwater_ingest.sites.registry import SiteRegistry
from headwater_ingest.sites.sites_file import SitesFile
from headwater_ingest.storage import Storage, open_storage
from headwater_ingest.telemetry.metrics import Metrics
from headwater_ingest.visitors.memory_store import MemorySessionStore
from headwater_ingest.web import SESSIONS_FILE, Web

_PREFIX = "/conformance/"
_FLUSH_SECONDS = 20.0


async def main() -> None:
    """Runs until a signal comes. Nothing is to be kept, so the stop does not wait."""
    settings = load_settings(os.environ).values
    world, lifecycle, metrics = World(), Lifecycle(), Metrics("conformance")
    async with AsyncExitStack() as stack:
        stack.enter_context(lifecycle.on_signals())
        sock = stack.enter_context(listen(settings.listen_host, settings.port))
        journal = Journal.open(settings.data_dir, max_bytes=settings.journal_max_bytes)
        stack.callback(journal.close)
        storage = await stack.enter_async_context(
            open_storage(settings, in_a_hurry=lambda: True)
        )
        node = Node(
            lifecycle=lifecycle,
            journal=journal,
            shared=_make_shared(settings, storage, world),
            storage=storage,
            web=_make_web(settings, world),
            degraded_after_seconds=settings.degraded_after_seconds,
        )
        metrics.read_from(node.read)
        inner = make_application(settings, node, metrics, clock=lambda: world.now_ms)
        _watch_pipeline(inner, world)
        control = _Control(node, world, node.web.files.enrichment.rates)
        outer = _Outer(inner, control, world)
        takers = {
            path: _PeerTaker(taker, world) for path, taker in inner.takers.items()
        }
        server = HttpServer(outer, sock, takers=takers)
        await server.start()
        ServiceFile.describe(sock, os.getpid()).write(settings.data_dir)
        await lifecycle.wait_for_stop()
        await server.close()


def _make_shared(settings: Settings, storage: Storage, world: World) -> SharedState:
    """Returns shared state that nobody keeps in step: it is as the case has set it."""
    sites, gate = SiteRegistry(), Gatekeeper(clock=lambda: world.now_ms)
    salts = CaseSalts(lambda: world.salt_day)
    data_dir = settings.data_dir
    tables = SharedTables(storage.url, lambda: storage.schema_ready)
    file = SitesFile(settings.sites_path)
    return SharedState(
        sites=sites,
        gate=gate,
        salts=salts,
        site_sync=SiteSync(
            sites, gate.usage, file=file, data_dir=data_dir, tables=tables
        ),
        salt_sync=SaltSync(salts, data_dir=data_dir, tables=tables),
    )


def _make_web(settings: Settings, world: World) -> Web:
    sessions = MemorySessionStore(
        clock_s=lambda: world.uptime_s, max_sessions=settings.max_sessions
    )
    return Web(DataFiles(settings), sessions, settings.data_dir / SESSIONS_FILE)


def _watch_pipeline(application: Starlette, world: World) -> None:
    for route in application.routes:
        if isinstance(route, Route) and isinstance(route.endpoint, EventEndpoint):
            endpoint = route.endpoint
            endpoint._pipeline = _Watched(endpoint._pipeline, world)  # type: ignore[assignment]


@dataclass(slots=True)
class _Watched:
    """The pipeline, with a look at what goes in."""

    pipeline: WebPipeline
    world: World

    async def build_and_buffer(self, request: WebRequest) -> Result:
        self._note(request)
        return await self.pipeline.build_and_buffer(request)

    def take(self, requests: Sequence[tuple[WebRequest, Settle]]) -> None:
        for request, _ in requests:
            self._note(request)
        self.pipeline.take(requests)

    def _note(self, request: WebRequest) -> None:
        fields, money = request.fields, request.fields.money
        revenue = money and {"amount": str(money.amount), "currency": money.currency}
        self.world.seen.append(
            Seen(
                list(fields.domains),
                fields.name,
                fields.page.hostname,
                fields.page.pathname,
                fields.referrer,
                fields.props,
                fields.is_interactive,
                revenue,
                request.client.ip,
                request.user_agent,
                fields.script_version,
            )
        )


@dataclass(frozen=True, slots=True)
class _Outer:
    """Sends the cases' commands one way, and all else to the service."""

    inner: ASGIApp
    control: "_Control"
    world: World

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith(_PREFIX):
            answer = await self.control.answer(Request(scope, receive))
            await answer(scope, receive, send)
        else:
            peer = {**scope, "client": (self.world.peer_ip, 40_000)}
            await self.inner(peer, receive, send)


@dataclass(frozen=True, slots=True)
class _PeerTaker:
    """Takes plain requests as if they came from the cases' peer."""

    inner: Taker
    world: World

    def take(
        self,
        headers: RawHeaders,
        body: bytes,
        _peer: str,
        answer: Callable[[Answer], None],
    ) -> None:
        self.inner.take(headers, body, self.world.peer_ip, answer)


@dataclass(frozen=True, slots=True)
class _Control:
    """Does what the cases command."""

    node: Node
    world: World
    rates: Rates

    async def answer(self, request: Request) -> Response:
        name, body = request.url.path.removeprefix(_PREFIX), await request.body()
        if name == "seen":
            return Response(msgspec.json.encode(self.world.seen))
        if name == "flush":
            return await self._flush()
        try:
            if name == "begin":
                self._begin(msgspec.json.decode(body, type=Setup))
            else:
                self.world.change(msgspec.json.decode(body, type=Change))
        except ValueError as error:
            return JSONResponse({"problem": str(error)}, 400)
        return JSONResponse({"now_ms": self.world.now_ms})

    def _begin(self, setup: Setup) -> None:
        self.world.begin(setup.at)
        shared, tables = self.node.shared, self.node.web.files.enrichment
        shared.sites.replace(make_sites(setup, now_ms=self.world.now_ms))
        rates = setup.rates
        tables.rates = self.rates if rates is None else _read_rates(rates)

    async def _flush(self) -> Response:
        async with asyncio.timeout(_FLUSH_SECONDS):
            # The writer is another process, which nobody here is told of.
            while (await self.node.journal.refresh()).rows_pending:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return JSONResponse({})


def _read_rates(rates: Mapping[str, str]) -> Rates:
    return {name: Decimal(rate) for name, rate in rates.items()}


if __name__ == "__main__":
    uvloop.run(main())
