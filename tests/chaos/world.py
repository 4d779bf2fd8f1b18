"""Everything that one scenario needs, as real processes, and the books of it all."""

import logging
import random
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final
from uuid import UUID

from tests.chaos import clock
from tests.chaos.old import FROZEN_SITE
from tests.chaos.trap import Trap
from tests.e2e.support.clickhouse import Database, OwnClickHouse
from tests.e2e.support.processes import Process, Processes, clean_environment
from tests.e2e.support.service import KEY, Service
from tests.e2e.support.waiting import wait_for

from headwater_ingest.journal.accounts import Fate
from headwater_ingest.journal.peek import peek

# Nobody answers while ClickHouse is down; the driver would log each attempt at length.
logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)

SETTLED_S: Final = 90.0

_FROZEN: Final = f"WHERE site_id = {FROZEN_SITE}"
_OURS: Final = f"WHERE site_id != {FROZEN_SITE}"


class ChaosService(Service):
    """The service with points at which it may be killed.

    Attributes:
        extra: Further environment.
    """

    __slots__ = ("clock_path", "extra", "trap")

    extra: dict[str, str]
    trap: Trap
    clock_path: Path

    @property
    def name(self) -> str:
        return f"service-{self.data_dir.name}"

    def environment(self) -> dict[str, str]:
        return {
            **super().environment(),
            **self.trap.environment,
            clock.VARIABLE: str(self.clock_path),
            **self.extra,
        }


@dataclass(slots=True)
class ChaosClient:
    """An application, and its books.

    Attributes:
        was_killed: Whether it lost what it had in memory.
    """

    process: Process
    directory: Path
    was_killed: bool = False

    def stop(self) -> None:
        """Ends it in good order, once it knows how: it has books then."""
        wait_for(
            lambda: (self.directory / "sent").exists() or self.process.poll(),
            what=f"{self.process.name} to start",
        )
        self.process.terminate()

    def read(self, book: str) -> list[UUID]:
        path = self.directory / book
        ids = path.read_bytes() if path.exists() else b""
        return [UUID(bytes=ids[at : at + 16]) for at in range(0, len(ids), 16)]

    def count(self, book: str) -> int:
        path = self.directory / book
        return path.stat().st_size // 16 if path.exists() else 0


@dataclass(slots=True)
class Outcome:
    """What a scenario has come to."""

    scenario: str
    kills: int = 0
    faults: int = 0
    sent: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    problems: list[str] = field(default_factory=list)


class World:
    """ClickHouse, one service or more, and applications. For one thread."""

    def __init__(self, directory: Path, chance: random.Random, scenario: str) -> None:
        self.directory = directory
        self.chance = chance
        self.outcome = Outcome(scenario)
        logs = directory / "logs"
        logs.mkdir(parents=True)
        self.processes = Processes(logs)
        self.clock_path = directory / "clock"
        clock.make(self.clock_path)
        self.trap = Trap(directory)
        self.clickhouse = OwnClickHouse(self.processes, directory / "clickhouse")
        self._server = self.clickhouse.start()
        self.database = self.make_database()
        self._nodes = count(1)
        self._applications = count(1)
        self.frozen = 0  # rows that an earlier release has left in a journal
        self.services: list[ChaosService] = []
        self.clients: list[ChaosClient] = []

    def make_database(self) -> Database:
        """Names a database that does not exist, on the same ClickHouse."""
        return self._server.make_database()

    def make_service(
        self,
        *,
        clickhouse_url: str | None = None,
        settings: Mapping[str, str] | None = None,
        extra: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> ChaosService:
        """Describes a service; it is not started."""
        service = ChaosService(
            self.processes,
            (directory or self.directory) / f"node{next(self._nodes)}",
            clickhouse_url or self.database.url,
            {"block_seconds": "0.05", "drain_seconds": "20", **(settings or {})},
            (sys.executable, "-m", "tests.chaos.serve"),
        )
        service.extra = dict(extra or {})
        service.trap, service.clock_path = self.trap, self.clock_path
        self.services.append(service)
        return service

    def start_service(self, service: ChaosService | None = None) -> ChaosService:
        """Starts a service, on tables in which a repeat stays visible."""
        service = service or self.make_service()
        service.start()
        self.database.keep_copies()
        return service

    def start_client(self, url: str) -> ChaosClient:
        """Starts an application."""
        directory = self.directory / f"client{next(self._applications)}"
        directory.mkdir()
        process = self.processes.start(
            [sys.executable, "-m", "tests.chaos.client", url, KEY, str(directory)],
            name=directory.name,
            environment=clean_environment(),
        )
        client = ChaosClient(process, directory)
        self.clients.append(client)
        return client

    def wait_for_traffic(self, events: int = 50) -> None:
        """Returns when so many more events have been acknowledged."""
        goal = self._acknowledged() + events
        wait_for(
            lambda: self._acknowledged() >= goal,
            what=f"{events} more events to be acknowledged",
            timeout_s=SETTLED_S,
        )

    def close(self) -> None:
        """Ends all that still runs."""
        self.processes.kill_all()

    def settle(self) -> None:
        """Ends the applications in good order, lets all be written, and checks.

        What is started after this goes into a comparison of its own.
        """
        for client in self.clients:
            if not client.was_killed:
                client.stop()
        for client in self.clients:
            code = client.process.wait(SETTLED_S)
            if code and not client.was_killed:
                self._report(f"{client.process.name}: {client.process.log[-500:]}")
        for service in self.services:
            _wait_until_written(service)
        self._compare()
        self._check_accounts()
        self.clients, self.services = [], []
        with suppress(AssertionError):
            self.processes.check_logs()
            return
        self._report("there is a traceback in a log")

    def _acknowledged(self) -> int:
        return sum(client.count("acknowledged") for client in self.clients)

    def _compare(self) -> None:
        sent = {each for client in self.clients for each in client.read("sent")}
        taken = {
            each for client in self.clients for each in client.read("acknowledged")
        }
        stored = Counter(self.database.column(f"SELECT event_id FROM events {_OURS}"))
        outcome = self.outcome
        outcome.sent += len(sent)
        outcome.acknowledged += len(taken)
        outcome.lost += len(taken - stored.keys())
        outcome.doubled += stored.total() - len(stored)
        if strange := stored.keys() - sent:
            self._report(f"{len(strange)} stored events were never sent")
        alive = [each for each in self.clients if not each.was_killed]
        unsettled = sum(
            len(set(each.read("sent")) - set(each.read("acknowledged")))
            for each in alive
        )
        if unsettled:
            self._report(f"{unsettled} events are nobody's")
        self._check_views(len(stored))
        [(frozen, distinct)] = self.database.query(
            f"SELECT count(), uniqExact(event_id) FROM events {_FROZEN}"
        )
        if not frozen == distinct == self.frozen:
            self._report(f"{self.frozen} frozen rows, {frozen} stored, {distinct} ids")

    def _check_views(self, stored: int) -> None:
        [(in_sessions,)] = self.database.query(
            f"SELECT sum(events) FROM sessions {_OURS}"
        )
        [(counted,)] = self.database.query(
            f"SELECT sum(count) FROM ingest_counters {_OURS} AND outcome = 'accepted'"
        )
        if (in_sessions, counted) != (stored, stored):
            self._report(
                f"{stored} events are stored, {in_sessions} in sessions, {counted} in "
                "the counters"
            )

    def _check_accounts(self) -> None:
        written = accepted = 0
        for service in self.services:
            found = peek(service.data_dir)
            if found is None or found.accounts is None:
                continue
            accounts = found.accounts
            if accounts.imbalances() or accounts.pending.total():
                self._report(f"the accounts do not close: {accounts}")
            for site in accounts.sites:
                written += accounts.total(site, Fate.WRITTEN)
                accepted += accounts.total(site, "accepted")
        [(stored,)] = self.database.query(f"SELECT count() FROM events {_OURS}")
        if not written == accepted == stored:
            self._report(
                f"accounts: {accepted} accepted, {written} written; {stored} are stored"
            )

    def _report(self, problem: str) -> None:
        self.outcome.problems.append(problem)


def _wait_until_written(service: ChaosService) -> None:
    """Returns when the journal of a service that runs is empty."""
    if service.running.poll() is None:
        wait_for(
            lambda: service.metric("headwater_journal_pending_rows") == 0,
            what="an empty journal",
            timeout_s=SETTLED_S,
        )
