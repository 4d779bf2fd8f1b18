"""The real writer process under its supervisor, against a real ClickHouse."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from headwater_ingest.clickhouse.client import ClickHouseUrl, Client, connect
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.clickhouse.migrate import migrate
from headwater_ingest.journal import Journal, JournalReader
from headwater_ingest.writer import WriterSettings, WriterStatus, WriterSupervisor
from headwater_ingest.writer import supervisor as supervisor_module
from headwater_ingest.writer.protocol import Drain, encode_line

pytestmark = pytest.mark.clickhouse

DEADLINE_S = 60.0

Fill = Callable[..., list[UUID]]


def settings_for(directory: Path, url: ClickHouseUrl) -> WriterSettings:
    return WriterSettings(
        directory=str(directory),
        clickhouse_url=url.with_password(),
        block_rows=1000,
        block_age_ms=50,
    )


@asynccontextmanager
async def running(
    directory: Path, url: ClickHouseUrl, statuses: list[WriterStatus] | None = None
) -> AsyncIterator[WriterSupervisor]:
    on_status = (statuses if statuses is not None else []).append
    writer = WriterSupervisor(settings_for(directory, url), on_status=on_status)
    writer.start()
    try:
        yield writer
    finally:
        await writer.kill()


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        await asyncio.sleep(0.01)


def stored_ids(client: Client) -> list[UUID]:
    return [row[0] for row in client.execute("SELECT event_id FROM events")]


def pid_of(writer: WriterSupervisor) -> int:
    assert writer._process is not None
    return writer._process.pid


def error_kind(writer: WriterSupervisor) -> str | None:
    error = writer.status.last_error
    return None if error is None else error.kind.value


def test_rows_are_written_while_it_runs(
    tmp_path: Path, url: ClickHouseUrl, client: Client, journal: Journal, fill: Fill
) -> None:
    statuses: list[WriterStatus] = []

    async def run() -> None:
        async with running(tmp_path, url, statuses) as writer:
            for _ in range(2):
                ids.extend(await asyncio.to_thread(fill, 5))
                await until(lambda: writer.status.rows_written == len(ids))
            assert writer.is_up
            assert writer.status.state == "running"
            assert writer.status.blocks_written >= 2
            assert writer.status.insert_seconds > 0

    ids: list[UUID] = []
    asyncio.run(run())

    assert sorted(stored_ids(client)) == sorted(ids)
    asyncio.run(until(lambda: journal.status().rows_pending == 0))  # a look later
    assert statuses[-1].rows_written == len(ids)


def test_a_drain_writes_what_is_young_and_ends(
    tmp_path: Path, url: ClickHouseUrl, client: Client, fill: Fill
) -> None:
    ids = fill(5)
    slow = replace_age(settings_for(tmp_path, url), 3_600_000)

    async def run() -> WriterSupervisor:
        writer = WriterSupervisor(slow)
        writer.start()
        await until(lambda: writer.is_up)
        await writer.drain(DEADLINE_S)
        return writer

    writer = asyncio.run(run())

    assert sorted(stored_ids(client)) == sorted(ids)
    assert writer.status.state == "stopped"
    assert writer.status.rows_written == len(ids)
    assert (writer.is_up, writer.restarts) == (False, 0)


def replace_age(settings: WriterSettings, block_age_ms: int) -> WriterSettings:
    return WriterSettings(
        directory=settings.directory,
        clickhouse_url=settings.clickhouse_url,
        block_rows=settings.block_rows,
        block_age_ms=block_age_ms,
    )


def test_a_drain_right_after_the_start_writes_everything(
    tmp_path: Path, url: ClickHouseUrl, client: Client, fill: Fill
) -> None:
    ids = fill(5)

    async def run() -> None:
        async with running(tmp_path, url) as writer:
            await writer.drain(DEADLINE_S)

    asyncio.run(run())

    assert sorted(stored_ids(client)) == sorted(ids)


def test_a_drain_without_clickhouse_ends_at_its_deadline(
    tmp_path: Path, journal: Journal, fill: Fill
) -> None:
    fill(1)

    async def run() -> float:
        async with running(tmp_path, ClickHouseUrl("127.0.0.1", port=1)) as writer:
            await until(lambda: writer.status.state == "retrying")
            started = time.monotonic()
            await writer.drain(1)
            return time.monotonic() - started

    assert asyncio.run(run()) < 10
    assert journal.status().rows_pending == 10


def test_a_writer_that_is_killed_starts_again_and_writes_each_row_once(
    tmp_path: Path, url: ClickHouseUrl, client: Client, fill: Fill
) -> None:
    client.execute("SYSTEM STOP MERGES events")

    async def run() -> None:
        async with running(tmp_path, url) as writer:
            for kills in range(4):
                await until(lambda: writer.is_up)
                ids.extend(await asyncio.to_thread(fill, 40, 100))
                os.kill(pid_of(writer), signal.SIGKILL)
                await until(lambda: writer.restarts == kills + 1)  # noqa: B023
            await writer.drain(DEADLINE_S)
            assert writer.status.rows_written <= len(ids)

    ids: list[UUID] = []
    asyncio.run(run())

    assert sorted(stored_ids(client)) == sorted(ids)


def test_an_outage_of_clickhouse_is_waited_out(tmp_path: Path, fill: Fill) -> None:
    server = EmbeddedClickHouse(tmp_path / "clickhouse")
    server.start()
    url = server.url
    migrate(url)

    async def run() -> None:
        async with running(tmp_path, url) as writer:
            ids.extend(await asyncio.to_thread(fill, 5))
            await until(lambda: writer.status.rows_written == len(ids))
            await asyncio.to_thread(server.stop, timeout_s=0)
            ids.extend(await asyncio.to_thread(fill, 5))
            await until(lambda: writer.status.state == "retrying")
            assert error_kind(writer) == "transient"

            again = EmbeddedClickHouse(tmp_path / "clickhouse", tcp_port=url.port)
            await asyncio.to_thread(again.start)
            servers.append(again)
            await until(lambda: writer.status.rows_written == len(ids))
            assert error_kind(writer) is None
            assert writer.restarts == 0

    ids: list[UUID] = []
    servers = [server]
    try:
        asyncio.run(run())
        with connect(url) as client:
            assert sorted(stored_ids(client)) == sorted(ids)
    finally:
        for each in servers:
            each.stop(timeout_s=0)


def test_a_missing_database_is_reported_and_nothing_is_lost(
    tmp_path: Path, url: ClickHouseUrl, journal: Journal, fill: Fill
) -> None:
    fill(1)

    async def run() -> None:
        async with running(tmp_path, replace(url, database="absent")) as writer:
            await until(lambda: writer.status.state == "retrying")
            assert writer.status.last_error is not None
            assert writer.status.last_error.kind == "fatal"
            assert "absent" in writer.status.last_error.message

    asyncio.run(run())

    assert journal.status().rows_pending == 10


def test_a_writer_that_cannot_start_is_started_again(
    tmp_path: Path, url: ClickHouseUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "_COMMAND", ("/bin/false",))

    async def run() -> None:
        async with running(tmp_path, url) as writer:
            await until(lambda: writer.restarts >= 2)
            assert not writer.is_up
            monkeypatch.setattr(supervisor_module, "_COMMAND", ("/does/not/exist",))
            await until(lambda: writer.restarts >= 3)

    asyncio.run(run())


def test_a_writer_that_was_never_started_can_be_ended(
    tmp_path: Path, url: ClickHouseUrl
) -> None:
    async def run() -> None:
        writer = WriterSupervisor(settings_for(tmp_path, url))
        await writer.kill()
        await writer.drain(1)

    asyncio.run(run())


def test_it_waits_for_the_writer_of_an_earlier_service(
    tmp_path: Path, url: ClickHouseUrl, journal: Journal, fill: Fill
) -> None:
    ids = fill(1)
    earlier = JournalReader(tmp_path)

    async def run() -> None:
        async with running(tmp_path, url) as writer:
            await until(lambda: writer.status.state == "retrying")
            earlier.close()
            await until(lambda: writer.status.rows_written == len(ids))

    asyncio.run(run())


@pytest.fixture
def bare(
    tmp_path: Path, url: ClickHouseUrl, journal: Journal
) -> Iterator[subprocess.Popen[bytes]]:
    """A writer process without a supervisor, which runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "headwater_ingest.writer"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(encode_line(settings_for(tmp_path, url)))
        process.stdin.flush()
        assert b'"running"' in process.stdout.readline()
        yield process


def test_it_ends_when_the_service_is_gone(bare: subprocess.Popen[bytes]) -> None:
    said, _ = bare.communicate(timeout=DEADLINE_S)

    assert bare.returncode == 0
    assert b'"stopped"' in said


@pytest.mark.parametrize("told", [b"", b'{"data_dir'])
def test_it_ends_quietly_when_the_service_is_gone_at_once(told: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "headwater_ingest.writer"],
        input=told,
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_signals_leave_it_to_the_service_when_to_end(
    bare: subprocess.Popen[bytes], client: Client, fill: Fill
) -> None:
    bare.send_signal(signal.SIGINT)
    bare.send_signal(signal.SIGTERM)
    ids = fill(1)

    assert bare.stdin is not None
    bare.stdin.write(encode_line(Drain(drain_s=DEADLINE_S)))
    bare.stdin.flush()

    assert bare.wait(DEADLINE_S) == 0
    assert sorted(stored_ids(client)) == sorted(ids)


def test_tables_of_a_newer_release_are_left_alone_until_they_are_ours_again(
    tmp_path: Path, url: ClickHouseUrl, client: Client, fill: Fill
) -> None:
    ids = fill(2)
    newer = "INSERT INTO schema_migrations (name, checksum, topology) VALUES"
    client.execute(newer, [("9999_later", "x", "single")])

    async def run() -> None:
        async with running(tmp_path, url) as writer:
            await until(lambda: error_kind(writer) == "fatal")
            assert stored_ids(client) == []
        client.execute("TRUNCATE TABLE schema_migrations")
        async with running(tmp_path, url) as writer:
            await until(lambda: writer.status.rows_written == len(ids))

    asyncio.run(run())
