"""A worker: `python -m headwater_ingest.worker`, started by the service.

See `protocol.py` for what the two say to each other. Signals are the business of the
service: a Ctrl-C in the terminal reaches this process too, and must not end it before
the drain.
"""

import asyncio
import gc
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Self

import structlog
import uvloop

from headwater_ingest.data_files import DataFiles
from headwater_ingest.errors import OwnerGoneError
from headwater_ingest.http.native import Door
from headwater_ingest.http.routes import event_route, ingest_routes
from headwater_ingest.http.server import HttpServer
from headwater_ingest.huge_pages import start_using_huge_pages
from headwater_ingest.in_force import InForce
from headwater_ingest.pipeline.end_user import EndUserSteps
from headwater_ingest.settings import Settings
from headwater_ingest.telemetry.logs import configure_logs
from headwater_ingest.telemetry.loop_lag import watch_loop_lag
from headwater_ingest.telemetry.metrics import Metrics
from headwater_ingest.telemetry.shared_metrics import keep_metrics_in
from headwater_ingest.telemetry.state import WebState
from headwater_ingest.version import VERSION
from headwater_ingest.visitors.memory_store import MemorySessionStore
from headwater_ingest.visitors.sessions import SessionStore
from headwater_ingest.web import make_event_endpoint, open_redis, read_web, watch_files
from headwater_ingest.worker.application import WorkerApplication
from headwater_ingest.worker.asking_intake import AskingIntake
from headwater_ingest.worker.dealer import receive_connections
from headwater_ingest.worker.forwarder import Forwarder
from headwater_ingest.worker.limits import SharedLimits
from headwater_ingest.worker.orders import Orders
from headwater_ingest.worker.owner_link import OwnerLink
from headwater_ingest.worker.protocol import Ready, WorkerStatus
from headwater_ingest.worker.remote_journal import RemoteJournal
from headwater_ingest.worker.remote_sessions import RemoteSessionStore
from headwater_ingest.worker.settings_codec import unpack_settings

_FINISH_S: Final = 5.0
_CLOSE_S: Final = 2.0
_REPORT_S: Final = 1.0

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What the owner has passed on.

    Attributes:
        number: Which of the workers this is.
        metrics_dir: Where its metrics are.
        connection_fd: The way to the owner.
        channel_fd: Where its connections come from.
        windows_fd: The table of rate limits.
        usage_fd: The table of quotas.
    """

    number: int
    metrics_dir: str
    connection_fd: int
    channel_fd: int
    windows_fd: int
    usage_fd: int

    @classmethod
    def read(cls, arguments: list[str]) -> Self:
        """Read it as `WorkerSupervisor` writes it."""
        number, metrics_dir, *fds = arguments
        connection, channel, windows, usage = map(int, fds)
        return cls(int(number), metrics_dir, connection, channel, windows, usage)


def main() -> None:
    """Take events until the service says otherwise or is gone."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    inherited = Inheritance.read(sys.argv[1:])
    keep_metrics_in(inherited.metrics_dir, inherited.number)
    with suppress(OwnerGoneError):  # while it began
        uvloop.run(_work(inherited))


async def _work(inherited: Inheritance) -> None:
    orders = Orders()
    owner = OwnerLink(orders.take)
    keeping = asyncio.create_task(orders.keep_sites())
    await owner.open(socket.socket(fileno=inherited.connection_fd))
    begin = await orders.greeting()
    settings = unpack_settings(begin.settings)
    configure_logs(settings.log_level, settings.log_format)
    limits = SharedLimits(
        inherited.windows_fd, inherited.usage_fd, clock_offset_ns=begin.clock_offset_ns
    )
    orders.watch_usage(limits.usage)
    in_force = InForce(sites=orders.sites, gate=limits.gate, salts=orders.salts)
    at_hand = MemorySessionStore(
        clock_s=time.monotonic, max_sessions=settings.max_sessions // settings.workers
    )
    here = RemoteSessionStore(owner, at_hand)
    async with open_redis(settings, here) as redis, AsyncExitStack() as stack:
        files = await asyncio.to_thread(DataFiles, settings)
        metrics = Metrics(VERSION)
        app = _make_application(
            settings,
            files,
            in_force,
            sessions=redis or here,
            owner=owner,
            door=orders,
            metrics=metrics,
        )
        server = HttpServer(app, takers=app.takers)
        await server.start()
        stack.enter_context(_adopting(server, inherited.channel_fd))
        owner.tell(Ready())
        for work in (
            watch_files(files),
            watch_loop_lag(metrics.observe_loop_lag),
            _report(owner, lambda: read_web(files, redis)),
        ):
            task = asyncio.create_task(work)
            stack.callback(task.cancel)
        gc.collect()
        gc.freeze()
        start_using_huge_pages()
        await orders.finish.wait()
        await _finish(server, owner)
        keeping.cancel()


def _make_application(  # noqa: PLR0913  # its parts, each named
    settings: Settings,
    files: DataFiles,
    in_force: InForce,
    *,
    sessions: SessionStore,
    owner: OwnerLink,
    door: Door,
    metrics: Metrics,
) -> WorkerApplication:
    journal = RemoteJournal(owner)
    endpoint = make_event_endpoint(
        settings,
        files.enrichment,
        sessions=sessions,
        shared=in_force,
        journal=journal,
        door=door,
        metrics=metrics,
    )
    intake = AskingIntake(
        sites=in_force.sites,
        gate=in_force.gate,
        end_users=EndUserSteps(files.enrichment),
        journal=journal,
        metrics=metrics,
    )
    routes = [
        event_route(endpoint),
        *ingest_routes(intake, door=door, metrics=metrics),
    ]
    return WorkerApplication(routes, elsewhere=Forwarder(owner))


@contextmanager
def _adopting(server: HttpServer, channel_fd: int) -> Iterator[None]:
    """Serve the connections that the owner passes on."""
    loop = asyncio.get_running_loop()
    channel = socket.socket(fileno=channel_fd)
    channel.settimeout(0)
    adoptions: set[asyncio.Task[None]] = set()

    def adopt() -> None:
        for connection in receive_connections(channel):
            task = loop.create_task(_adopt(server, connection))
            adoptions.add(task)
            task.add_done_callback(adoptions.discard)

    loop.add_reader(channel, adopt)
    try:
        yield
    finally:
        loop.remove_reader(channel)
        channel.close()


async def _adopt(server: HttpServer, connection: socket.socket) -> None:
    try:
        await server.adopt(connection)
    except OSError:  # the client has gone already
        connection.close()


async def _finish(server: HttpServer, owner: OwnerLink) -> None:
    """Answer what is in flight, while there is an owner to ask, and end."""
    await asyncio.wait(
        {asyncio.create_task(server.finish_requests())}, timeout=_FINISH_S
    )
    await server.close()
    owner.close()
    with suppress(TimeoutError):
        await asyncio.wait_for(owner.ended.wait(), _CLOSE_S)


async def _report(owner: OwnerLink, read: Callable[[], WebState]) -> None:
    """Tell the owner for ever how this worker is, and that it is."""
    while True:
        await asyncio.sleep(_REPORT_S)
        try:
            owner.tell(WorkerStatus(read()))
        except Exception:  # noqa: BLE001 - a supervised loop: who is silent is killed
            _log.exception("state not told")


if __name__ == "__main__":
    main()
