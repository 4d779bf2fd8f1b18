"""Real processes for every test, their logs on failure, and none left at the end."""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.support.clickhouse import (
    ClickHouse,
    Database,
    OwnClickHouse,
    given_clickhouse,
)
from tests.e2e.support.ledger import Ledger, LedgerTransport
from tests.e2e.support.processes import Processes
from tests.e2e.support.service import KEY, Service

from headwater import Client
from headwater_ingest.journal.peek import peek

PROCESSES = pytest.StashKey[Processes]()
_SHOWN_CHARS = 20_000

MakeService = Callable[..., Service]
MakeClient = Callable[..., Client]


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """The server that the tests share."""
    if given := given_clickhouse():
        yield given
        return
    directory = tmp_path_factory.mktemp("clickhouse")
    processes = Processes(directory)
    own = OwnClickHouse(processes, directory / "data")
    try:
        yield own.start()
        processes.check_logs()
    finally:
        processes.kill_all()


@pytest.fixture
def database(clickhouse: ClickHouse) -> Iterator[Database]:
    """A database of the test's own; the service makes its tables."""
    database = clickhouse.make_database()
    yield database
    database.drop()


@pytest.fixture
def processes(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Processes]:
    """All processes of the test. None of them may have printed a traceback."""
    directory = tmp_path / "logs"
    directory.mkdir()
    processes = request.node.stash[PROCESSES] = Processes(directory)
    yield processes
    processes.kill_all()
    processes.check_logs()


def check_accounts(data_dir: Path) -> None:
    """Asserts that every accepted event is written or waits, and nothing else is."""
    found = peek(data_dir)
    if found:
        assert found.accounts
        assert found.accounts.imbalances() == {}
        assert found.accounts.pending.total() == found.rows_pending


@pytest.fixture
def make_service(
    database: Database, processes: Processes, tmp_path: Path
) -> Iterator[MakeService]:
    """Describes a service that is not started; settings are given by name.

    At the end the accounts of its journal must close.
    """

    def make(clickhouse_url: str = database.url, **settings: str) -> Service:
        return Service(processes, tmp_path / "data", clickhouse_url, settings)

    yield make
    check_accounts(tmp_path / "data")


@pytest.fixture
def service(make_service: MakeService) -> Service:
    """A service that takes events, on the shared ClickHouse."""
    service = make_service()
    service.start()
    return service


@pytest.fixture(scope="module")
def _standing(
    clickhouse: ClickHouse, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("standing")
    database = clickhouse.make_database()
    service = Service(Processes(directory), directory / "data", database.url)
    try:
        service.start()
        yield service
    finally:
        service.processes.kill_all()
        database.drop()


@pytest.fixture
def standing_service(
    _standing: Service, request: pytest.FixtureRequest
) -> Iterator[Service]:
    """One service for all tests of a module: what they do must harm no other."""
    request.node.stash[PROCESSES] = _standing.processes
    yield _standing
    _standing.processes.check_logs()
    check_accounts(_standing.data_dir)


@pytest.fixture
def standing_database(_standing: Service) -> Database:
    """The database of that service."""
    return Database(_standing.clickhouse_url)


@pytest.fixture
def emptied_database(
    standing_service: Service, standing_database: Database
) -> Database:
    """The same without the rows of other tests."""
    standing_service.wait_until_written()
    standing_database.query("TRUNCATE TABLE events")
    return standing_database


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def make_client(ledger: Ledger) -> Iterator[MakeClient]:
    """Makes clients of a URL whose traffic goes into the ledger."""
    clients: list[Client] = []

    def make(url: str, **options: Any) -> Client:
        # After a failed round a client waits for its flush interval.
        options = {"flush_interval": 0.5, **options}
        client = Client(KEY, url, transport=LedgerTransport(ledger, url), **options)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.shutdown(timeout=0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Puts the logs of the processes into the report of a failure."""
    report = yield
    processes = item.stash.get(PROCESSES, None)
    if report.failed and processes:
        for name, log in processes.logs().items():
            report.sections.append((f"log of {name}", log[-_SHOWN_CHARS:]))
    return report
