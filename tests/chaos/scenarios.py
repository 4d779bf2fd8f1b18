"""The scenarios: what goes wrong, how often, and where.

Each takes a world and a number of rounds, does its worst under load, and leaves the
comparing to `World.settle`.
"""

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from clickhouse_driver.errors import Error as ClickHouseError
from tests.chaos import clock
from tests.chaos.old import NEXT, OLD_SCHEMA, write_old_journal
from tests.chaos.proxy import (
    Balancer,
    Fault,
    FaultProxy,
    begins_http_answer,
    ends_insert,
)
from tests.chaos.trap import MIGRATION_POINT, SERVICE_POINTS, WRITER_POINTS
from tests.chaos.world import ChaosService, World
from tests.e2e.support.processes import find_children
from tests.e2e.support.waiting import wait_for

HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the matrix.

    Attributes:
        name: What goes wrong.
        run: Does it.
        rounds: How often.
    """

    name: str
    run: Callable[[World, int], None]
    rounds: int


def kill_at(points: Sequence[tuple[str, str]], world: World, rounds: int) -> None:
    """Kills somebody at each point, again and again."""
    service = world.start_service()
    world.start_client(service.url)
    world.start_client(service.url)
    for point, victim in [*points] * rounds:
        world.wait_for_traffic(world.chance.randrange(60))
        world.trap.arm(point, victim, skip=world.chance.randrange(4))
        world.trap.wait_until_sprung()
        world.outcome.kills += 1
        if victim == "service":
            restart(service)


def restart(service: ChaosService) -> None:
    """Starts a service that was killed."""
    service.running.wait()
    service.start()


def kill_migration(world: World, rounds: int) -> None:
    """Kills while the tables are made, which begins anew each time."""
    for _ in range(rounds):
        world.database = world.make_database()
        service = world.make_service()
        for _ in range(2):
            skip = world.chance.randrange(8)
            world.trap.arm(MIGRATION_POINT, "service", skip=skip)
            service.launch()
            world.trap.wait_until_sprung()
            service.running.wait()
            world.outcome.kills += 1
        world.start_service(service)
        world.start_client(service.url)
        world.wait_for_traffic(100)
        world.settle()
        service.stop()


def kill_clickhouse(world: World, rounds: int) -> None:
    """Kills ClickHouse while it takes blocks."""
    service = world.start_service()
    world.start_client(service.url)
    world.start_client(service.url)
    for _ in range(rounds):
        world.wait_for_traffic(world.chance.randrange(20, 120))
        bounce_clickhouse(world)


def bounce_clickhouse(world: World) -> None:
    """Kills ClickHouse and starts it again."""
    world.clickhouse.kill()
    world.outcome.kills += 1
    world.clickhouse.start()
    wait_for(lambda: _answers(world), what="ClickHouse to be back", timeout_s=60)
    world.database.keep_copies()


def _answers(world: World) -> bool:
    with suppress(OSError, EOFError, ClickHouseError):
        return bool(world.database.query("SELECT 1"))
    return False


def kill_clients(world: World, rounds: int) -> None:
    """Kills applications; what they had in memory was theirs."""
    service = world.start_service()
    for _ in range(rounds):
        client = world.start_client(service.url)
        wait_for(
            lambda: client.count("acknowledged") > 0,  # noqa: B023 - called at once
            what="an acknowledged event",
        )
        time.sleep(world.chance.random() * 0.3)
        kill_client(world)
    world.start_client(service.url)
    world.wait_for_traffic()


def kill_client(world: World) -> None:
    """Kills the newest application."""
    client = world.clients[-1]
    client.was_killed = True
    client.process.kill()
    world.outcome.kills += 1


def kill_anybody(world: World, rounds: int) -> None:
    """Kills the service, its writer, ClickHouse and applications at random."""
    service = world.start_service()
    world.start_client(service.url)
    world.start_client(service.url)
    for _ in range(rounds):
        time.sleep(world.chance.random() * 0.6)
        victim = world.chance.choice(["service", "writer", "clickhouse", "client"])
        if victim == "service":
            service.kill()
            world.outcome.kills += 1
            service.start()
        elif victim == "writer":
            kill_writer(world, service)
        elif victim == "clickhouse":
            bounce_clickhouse(world)
        else:
            kill_client(world)
            world.start_client(service.url)


def kill_writer(world: World, service: ChaosService) -> None:
    """Kills the process that writes to ClickHouse, if there is one just now."""
    for pid in find_children(service.running.pid, "tests.chaos.write"):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            world.outcome.kills += 1


def harm_inserts(faults: Sequence[Fault], world: World, rounds: int) -> None:
    """Harms what goes between the service and ClickHouse."""
    with FaultProxy(world.database.address, ends_insert) as proxy:
        url = world.database.at(proxy.port).url
        service = world.start_service(world.make_service(clickhouse_url=url))
        world.start_client(service.url)
        world.start_client(service.url)
        for fault in [*faults] * rounds:
            world.wait_for_traffic(world.chance.randrange(40))
            proxy.harm(fault)
        world.outcome.faults += proxy.done
        world.settle()


def harm_requests(faults: Sequence[Fault], world: World, rounds: int) -> None:
    """Harms what goes between the SDK and the service."""
    service = world.start_service()
    with FaultProxy(("127.0.0.1", service.port), begins_http_answer) as proxy:
        for _ in range(3):
            world.start_client(f"http://127.0.0.1:{proxy.port}")
        for fault in [*faults] * rounds:
            world.wait_for_traffic(world.chance.randrange(40))
            proxy.harm(fault)
        world.outcome.faults += proxy.done
        world.settle()


def start_without_clickhouse(world: World, rounds: int) -> None:
    """Starts the service while ClickHouse is away, and kills it there too."""
    with FaultProxy(world.database.address, ends_insert) as proxy:
        service = world.make_service(clickhouse_url=world.database.at(proxy.port).url)
        for number in range(rounds):
            proxy.cut()
            service.start()
            if not number:
                world.start_client(service.url)
            world.wait_for_traffic(100)
            service.kill()
            world.outcome.kills += 1
            service.start()
            proxy.restore()
            world.outcome.faults += 1
            wait_for(
                lambda: service.metric("headwater_writer_rows_total") > 0,
                what="rows in ClickHouse",
                timeout_s=60,
            )
            world.database.keep_copies()
            if number < rounds - 1:
                service.stop()
        world.settle()


def fill_disk(world: World, rounds: int) -> None:
    """Fills the disk of the journal: a small file system of its own, else a quota."""
    directory = world.directory / "disk"
    directory.mkdir()
    with small_disk(directory) as fill:
        service = world.start_service(world.make_service(directory=directory))
        world.start_client(service.url)
        for _ in range(rounds):
            world.wait_for_traffic(100)
            with fill(service.running.pid):
                wait_for(
                    lambda: "journal_unwritable" in service.readiness()["blocked"],
                    what="the journal to refuse",
                    timeout_s=60,
                )
                world.outcome.faults += 1
            wait_for(
                lambda: service.ready_status() == 200,
                what="the journal to be writable again",
                timeout_s=60,
            )
        world.wait_for_traffic(100)
        world.settle()
        service.stop()


@contextmanager
def small_disk(directory: Path) -> Iterator[Callable[[int], ExitStack]]:
    """Makes a disk that can be filled."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(directory)]
    is_mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0

    def fill(pid: int) -> ExitStack:
        stack = ExitStack()
        if is_mounted:
            ballast = directory / "ballast"
            stack.callback(ballast.unlink)
            with suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
        else:
            log = next(directory.glob("*/journal.db-wal"))
            limits = (log.stat().st_size, resource.RLIM_INFINITY)
            before = resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
            stack.callback(resource.prlimit, pid, resource.RLIMIT_FSIZE, before)
        return stack

    try:
        yield fill
    finally:
        if is_mounted:
            subprocess.run(["umount", "-l", str(directory)], check=True)


def fill_journal(world: World, rounds: int) -> None:
    """Lets rows pile up until the journal takes no more, and then drain."""
    with FaultProxy(world.database.address, ends_insert) as proxy:
        service = world.make_service(
            clickhouse_url=world.database.at(proxy.port).url,
            settings={"journal_max_bytes": str(1024**2)},
        )
        world.start_service(service)
        for _ in range(4):
            world.start_client(service.url)
        for _ in range(rounds):
            proxy.cut()
            wait_for(
                lambda: service.readiness()["blocked"] == ["journal_full"],
                what="a full journal",
                timeout_s=90,
            )
            world.outcome.faults += 1
            proxy.restore()
            wait_for(
                lambda: service.ready_status() == 200,
                what="room in the journal",
                timeout_s=60,
            )
        world.settle()


def step_clock(world: World, rounds: int) -> None:
    """Sets the clock of the service back and forth, with and without a kill."""
    service = world.start_service()
    world.start_client(service.url)
    for number in range(rounds):
        world.wait_for_traffic()
        clock.step(world.clock_path, world.chance.choice([-1, 1, 2]) * HOUR_S)
        world.outcome.faults += 1
        if number % 2:
            service.kill()
            world.outcome.kills += 1
            service.start()


def stop_under_load(world: World, rounds: int) -> None:
    """Stops the service with SIGTERM, in good order."""
    service = world.start_service()
    world.start_client(service.url)
    world.start_client(service.url)
    for _ in range(rounds):
        world.wait_for_traffic()
        assert service.stop() == 0
        world.outcome.faults += 1
        service.start()


def roll(world: World, rounds: int) -> None:
    """Restarts two nodes in turn, behind a balancer that asks nobody."""
    nodes = [world.start_service(), world.start_service()]
    with Balancer([each.port for each in nodes]) as balancer:
        for _ in range(2):
            world.start_client(f"http://127.0.0.1:{balancer.port}")
        for number in range(rounds):
            world.wait_for_traffic()
            node = nodes[number % 2]
            assert node.stop() == 0
            world.outcome.faults += 1
            world.wait_for_traffic()
            node.start()
        world.settle()


def upgrade(world: World, rounds: int) -> None:
    """Brings tables and a journal of an earlier release up to date, and further."""
    for _ in range(rounds):
        world.database = world.make_database()
        service = world.make_service(extra={OLD_SCHEMA: "0004"})
        world.frozen = write_old_journal(service.data_dir)
        world.start_service(service)
        world.start_client(service.url)
        for release in ("", NEXT):
            world.wait_for_traffic(100)
            if world.chance.random() < 0.5:
                service.kill()
                world.outcome.kills += 1
            else:
                service.stop()
            service.extra = {OLD_SCHEMA: release} if release else {}
            service.start()
            world.outcome.faults += 1
        world.wait_for_traffic(100)
        world.settle()
        service.stop()
        world.frozen = 0


def upgrade_beside(world: World, rounds: int) -> None:
    """Changes a view while another node writes through it."""
    for _ in range(rounds):
        world.database = world.make_database()
        node = world.start_service()
        world.start_client(node.url)
        world.start_client(node.url)
        world.wait_for_traffic(100)
        later = world.make_service(extra={OLD_SCHEMA: NEXT})
        world.start_service(later)
        world.outcome.faults += 1
        world.wait_for_traffic(100)
        # A writer of the release before writes until it connects again.
        node.stop()
        node.extra = later.extra
        node.start()
        world.settle()
        for each in (node, later):
            each.stop()


def make_scenarios() -> list[Scenario]:
    """Returns all rows of the matrix."""
    kills = [
        Scenario(f"service dies: {point}", partial(kill_at, [(point, "service")]), 12)
        for point in (*SERVICE_POINTS, *WRITER_POINTS)
    ]
    writers = [
        Scenario(f"writer dies: {point}", partial(kill_at, [(point, "writer")]), 12)
        for point in WRITER_POINTS
    ]
    inserts = [
        Scenario(f"service to ClickHouse: {each}", partial(harm_inserts, [each]), 18)
        for each in Fault
    ]
    requests = [
        Scenario(f"SDK to service: {each}", partial(harm_requests, [each]), 20)
        for each in Fault
    ]
    return [
        *kills,
        *writers,
        Scenario(f"service dies: {MIGRATION_POINT}", kill_migration, 5),
        Scenario("ClickHouse dies", kill_clickhouse, 22),
        Scenario("application dies", kill_clients, 45),
        Scenario("anybody dies", kill_anybody, 100),
        *inserts,
        *requests,
        Scenario("service starts without ClickHouse", start_without_clickhouse, 4),
        Scenario("disk full", fill_disk, 5),
        Scenario("journal full", fill_journal, 3),
        Scenario("clock steps", step_clock, 8),
        Scenario("SIGTERM under load", stop_under_load, 8),
        Scenario("rolling restart of two nodes", roll, 8),
        Scenario("upgrade of an earlier release", upgrade, 3),
        Scenario("view changed under another node", upgrade_beside, 3),
    ]


def make_short_scenarios() -> list[Scenario]:
    """Returns the same in few worlds and a few rounds each."""
    service = [(each, "service") for each in (*SERVICE_POINTS, *WRITER_POINTS)]
    writer = [(each, "writer") for each in WRITER_POINTS]
    return [
        Scenario("service dies", partial(kill_at, service), 1),
        Scenario("writer dies", partial(kill_at, writer), 1),
        Scenario(f"service dies: {MIGRATION_POINT}", kill_migration, 1),
        Scenario("anybody dies", kill_anybody, 6),
        Scenario("service to ClickHouse", partial(harm_inserts, list(Fault)), 1),
        Scenario("SDK to service", partial(harm_requests, list(Fault)), 1),
        Scenario("disk full", fill_disk, 1),
        Scenario("journal full", fill_journal, 1),
        Scenario("clock steps", step_clock, 2),
        Scenario("rolling restart of two nodes", roll, 2),
        Scenario("upgrade of an earlier release", upgrade, 1),
    ]
