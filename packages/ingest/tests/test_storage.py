import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from headwater_ingest import storage as module
from headwater_ingest.clickhouse.client import ClickHouseUrl, connect
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.clickhouse.migrate import migrate, read_migrations
from headwater_ingest.errors import ClickHouseUnreachableError, SchemaNewerError
from headwater_ingest.settings import Settings
from headwater_ingest.storage import Storage, migrate_once, open_storage
from headwater_ingest.telemetry.state import FAILURE_KINDS
from headwater_ingest.writer import (
    Failure,
    FailureKind,
    WriterSettings,
    WriterStatus,
)

NOWHERE = ClickHouseUrl("127.0.0.1", port=1)
TRANSIENT = Failure(FailureKind.TRANSIENT, "gone")
REJECTED = Failure(FailureKind.REJECTED, "bad rows")


class FakeWriter:
    """Is started and ended, and says what the test says."""

    made: "FakeWriter"

    def __init__(
        self, settings: WriterSettings, *, on_status: Callable[[WriterStatus], object]
    ) -> None:
        FakeWriter.made = self
        self.settings = settings
        self.status = WriterStatus()
        self.is_up = False
        self.restarts = 0
        self.is_started = False
        self._on_status = on_status

    def start(self) -> None:
        self.is_started = True

    async def kill(self) -> None:
        self.is_up = False

    def say(self, status: WriterStatus) -> None:
        self.is_up = True
        self.status = status
        self._on_status(status)


class FakeClickHouse:
    """Answers a look with what the test says."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.migrations = 0
        self.attempts = 0

    def migrate(self, *_: object) -> list[str]:
        self.attempts += 1
        if self.error:
            raise self.error
        self.migrations += 1
        return []

    def ask(self, _: ClickHouseUrl) -> None:
        if self.error:
            raise self.error


def unreachable() -> Exception:
    return ClickHouseUnreachableError("127.0.0.1:1", "nobody there")


@pytest.fixture
def clickhouse(monkeypatch: pytest.MonkeyPatch) -> FakeClickHouse:
    fake = FakeClickHouse()
    monkeypatch.setattr(module, "WriterSupervisor", FakeWriter)
    monkeypatch.setattr(module, "migrate", fake.migrate)
    monkeypatch.setattr(module, "_ask", fake.ask)
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.001)
    return fake


def run(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await work

    asyncio.run(bounded())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nobody would set an event
        await asyncio.sleep(0.001)  # the caller has a deadline


@asynccontextmanager
async def kept(storage: Storage) -> AsyncIterator[None]:
    keeping = asyncio.create_task(storage.keep())
    try:
        yield
    finally:
        keeping.cancel()


def make(settings: Settings | None = None) -> Storage:
    return Storage(settings or Settings(), NOWHERE, None)


def test_the_writer_starts_once_the_tables_are_there(
    clickhouse: FakeClickHouse, tmp_path: Path
) -> None:
    async def check() -> None:
        storage = make(Settings(data_dir=tmp_path, block_rows=7, block_seconds=0.5))
        await storage.begin()

        writer = FakeWriter.made
        assert writer.is_started
        assert storage.schema_ready
        assert storage.clickhouse_up
        assert writer.settings == WriterSettings(
            directory=str(tmp_path),
            clickhouse_url=NOWHERE.with_password(),
            block_rows=7,
            block_age_ms=500,
            dead_letter_run=100,
            dead_letter_share=0.05,
            archive_days=0,
            archive_max_bytes=10 * 1024**3,
        )

    run(check())


@pytest.mark.usefixtures("clickhouse")
def test_dead_letters_are_logged_as_they_come() -> None:
    make()
    with capture_logs() as logs:
        for dead in (0, 3, 3, 5):
            FakeWriter.made.say(WriterStatus(rows_dead=dead))
    assert [(each["log_level"], each["rows"]) for each in logs] == [
        ("warning", 3),
        ("warning", 2),
    ]


def test_a_clickhouse_that_is_away_is_prepared_when_it_comes(
    clickhouse: FakeClickHouse,
) -> None:
    async def check() -> None:
        storage = make()
        clickhouse.error = unreachable()
        await storage.begin()
        writer = FakeWriter.made
        at_first = (storage.clickhouse_up, storage.schema_ready, writer.is_started)

        async with kept(storage):
            clickhouse.error = None
            await until(lambda: storage.clickhouse_up)

        assert at_first == (False, False, False)
        assert writer.is_started
        assert clickhouse.migrations == 1

    run(check())


def test_a_clickhouse_that_goes_and_comes_is_noticed(
    clickhouse: FakeClickHouse,
) -> None:
    async def check() -> None:
        storage = make()
        await storage.begin()
        async with kept(storage):
            clickhouse.error = unreachable()
            await until(lambda: not storage.clickhouse_up)
            clickhouse.error = None
            await until(lambda: storage.clickhouse_up)

        assert clickhouse.migrations == 1

    run(check())


def test_the_look_survives_what_nobody_expected(
    clickhouse: FakeClickHouse,
) -> None:
    async def check() -> None:
        storage = make()
        clickhouse.error = unreachable()
        await storage.begin()
        async with kept(storage):
            clickhouse.error = ZeroDivisionError()
            before = clickhouse.attempts
            await until(lambda: clickhouse.attempts > before + 1)
            clickhouse.error = None
            await until(lambda: storage.clickhouse_up)

    run(check())


def test_tables_of_a_newer_release_end_the_start(clickhouse: FakeClickHouse) -> None:
    async def check() -> None:
        clickhouse.error = SchemaNewerError("newer")
        with pytest.raises(SchemaNewerError):
            await make().begin()

    run(check())


def test_a_writer_that_retries_means_that_clickhouse_is_away(
    clickhouse: FakeClickHouse,
) -> None:
    async def check() -> None:
        storage = make()
        await storage.begin()
        FakeWriter.made.say(WriterStatus(state="retrying", last_error=TRANSIENT))
        assert not storage.clickhouse_up
        assert storage.writer_state.held_by == "transient"

    run(check())


def test_a_block_that_is_rejected_does_not(clickhouse: FakeClickHouse) -> None:
    async def check() -> None:
        storage = make()
        await storage.begin()
        FakeWriter.made.say(WriterStatus(state="retrying", last_error=REJECTED))
        assert storage.clickhouse_up
        assert storage.writer_state.held_by == "rejected"

    run(check())


def test_a_writer_is_not_down_while_it_first_starts(clickhouse: FakeClickHouse) -> None:
    async def check() -> None:
        storage = make()
        before = storage.writer_state.up
        await storage.begin()
        at_first = storage.writer_state.up
        FakeWriter.made.restarts = 1

        assert (before, at_first, storage.writer_state.up) == (False, True, False)

    run(check())


def test_failures_are_counted_by_kind(clickhouse: FakeClickHouse) -> None:
    async def check() -> None:
        storage = make()
        writer = FakeWriter.made
        writer.say(WriterStatus(failures=1, last_error=REJECTED))
        writer.say(WriterStatus(failures=1, last_error=REJECTED))
        writer.say(WriterStatus(failures=3, last_error=TRANSIENT))
        writer.say(WriterStatus(failures=4))

        assert storage.writer_state.failures == {"rejected": 1, "transient": 3}

    run(check())


def test_every_kind_of_failure_has_a_label() -> None:
    assert set(FAILURE_KINDS) == set(FailureKind)


@pytest.mark.clickhouse
def test_the_tables_are_made_on_a_server_that_runs_or_not(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)

    names = [migration.name for migration in read_migrations()]
    assert migrate_once(settings) == names
    with EmbeddedClickHouse(settings.clickhouse_dir) as server:
        assert migrate_once(settings) == []
        other = Settings(clickhouse_url=server.url.with_password())
        assert migrate_once(other) == []


@pytest.mark.clickhouse
def test_our_own_clickhouse_ends_with_the_storage(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)

    async def check() -> None:
        async with open_storage(settings, in_a_hurry=lambda: True) as storage:
            assert storage.clickhouse_up
            assert storage.clickhouse_restarts == 0
            url = EmbeddedClickHouse(settings.clickhouse_dir).directory
            assert url.path.exists()

    run(check())
    with EmbeddedClickHouse(settings.clickhouse_dir) as server:
        assert migrate(server.url) == []
        with connect(server.url) as client:
            assert client.execute("SELECT count() FROM events") == [(0,)]
