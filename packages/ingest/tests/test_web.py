"""Open sessions between two runs, and the files that are looked at meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from tests.redis_server import run_redis
from tests.sessions import register

from headwater_ingest import web as web_module
from headwater_ingest.data_files import DataFiles
from headwater_ingest.journal.counts import Count
from headwater_ingest.settings import Settings
from headwater_ingest.sites.gatekeeper import Gatekeeper
from headwater_ingest.telemetry.metrics import Metrics
from headwater_ingest.visitors.sessions import Session, Visit
from headwater_ingest.web import SESSIONS_FILE, count_accepted, open_web

if TYPE_CHECKING:
    from pathlib import Path

    from headwater_ingest.telemetry.state import WebState
    from headwater_schema.outcomes import Reason

VISIT = Visit(7, 1, None, 1_750_000_000, prolongs_only=False, make_facts=dict)
NOW_MS = 1_750_000_000_000
LATER = Visit(7, 1, None, 1_750_000_060, prolongs_only=True, make_facts=dict)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


def test_sessions_are_taken_up_where_they_were_left(settings: Settings) -> None:
    async def run() -> tuple[object, object]:
        async with open_web(settings) as web:
            await web.load_sessions()
            before = await register(web.sessions, VISIT)
            await web.save_sessions()
        async with open_web(settings) as web:
            await web.load_sessions()
            assert web.read().sessions_open == 1
            return before, await register(web.sessions, LATER)

    with capture_logs() as logs:
        before, after = asyncio.run(run())

    assert isinstance(before, Session)
    assert isinstance(after, Session)
    assert before.id == after.id
    assert logs == []


def test_a_file_that_holds_no_sessions_is_a_warning(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / SESSIONS_FILE).write_bytes(b"nothing of ours")

    async def run() -> None:
        async with open_web(settings) as web:
            await web.load_sessions()
            assert isinstance(await register(web.sessions, VISIT), Session)

    with capture_logs() as logs:
        asyncio.run(run())

    (line,) = logs
    assert (line["log_level"], line["event"]) == ("warning", "open sessions are lost")


def test_a_disk_that_takes_no_sessions_is_a_warning(tmp_path: Path) -> None:
    async def run() -> None:
        async with open_web(Settings(data_dir=tmp_path / "not there")) as web:
            await register(web.sessions, VISIT)
            await web.save_sessions()

    with capture_logs() as logs:
        asyncio.run(run())

    (line,) = logs
    assert (line["log_level"], line["event"]) == ("warning", "open sessions are lost")


def test_sessions_that_are_shared_are_not_in_this_process(tmp_path: Path) -> None:
    (tmp_path / SESSIONS_FILE).write_bytes(b"of the time before")

    async def run(settings: Settings) -> tuple[Session | Reason, WebState]:
        async with open_web(settings) as web:
            await web.load_sessions()
            session = await register(web.sessions, VISIT)
            await web.save_sessions()
            return session, web.read()

    with run_redis() as server, capture_logs() as logs:
        shared = Settings(data_dir=tmp_path, redis_url=server.url)
        (first, state), (second, _) = (asyncio.run(run(shared)) for _ in range(2))

    assert isinstance(first, Session)
    assert isinstance(second, Session)
    assert first.id == second.id
    assert (state.sessions_open, state.sessions_local, state.events_local) == (
        0,
        False,
        0,
    )
    assert (tmp_path / SESSIONS_FILE).read_bytes() == b"of the time before"
    assert logs == []


def test_while_redis_is_away_the_sessions_of_this_process_are_told(
    tmp_path: Path,
) -> None:
    async def run() -> WebState:
        away = Settings(data_dir=tmp_path, redis_url="redis://127.0.0.1:1")
        async with open_web(away) as web:
            await register(web.sessions, VISIT)
            return web.read()

    with capture_logs() as logs:
        state = asyncio.run(run())

    assert (state.sessions_open, state.sessions_local, state.events_local) == (
        1,
        True,
        1,
    )
    assert [line["event"] for line in logs] == ["Redis does not answer"]


def test_files_are_looked_at_while_the_service_runs(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_module, "_LOOK_SECONDS", 0.005)
    rates = tmp_path / "rates.json"

    async def run() -> tuple[str, ...]:
        async with open_web(Settings(data_dir=tmp_path, rates_file=rates)) as web:
            problems = web.read().data_problems
            rates.write_text('{"rates": {"EUR": 0.5, "USD": 1}}')
            async with asyncio.timeout(10):
                while web.files.enrichment.rates.get("USD") != 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            assert not web.read().data_problems
            return problems

    (problem,) = asyncio.run(run())

    assert problem.startswith(f"{rates}: cannot be read")


def test_a_look_that_fails_is_not_the_last(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_module, "_LOOK_SECONDS", 0.005)
    looks = []

    def refresh(_files: DataFiles) -> None:
        looks.append(1)
        raise RuntimeError

    monkeypatch.setattr(DataFiles, "refresh", refresh)

    async def run() -> None:
        async with open_web(settings), asyncio.timeout(10):
            while len(looks) < 3:  # noqa: ASYNC110 - a thread
                await asyncio.sleep(0.005)

    with capture_logs() as logs:
        asyncio.run(run())

    assert {line["event"] for line in logs} == {"look at data files failed"}


def test_accepted_events_count_for_the_service_and_for_each_site() -> None:
    gate, metrics = Gatekeeper(), Metrics("0")
    gate.usage.watch([7, 8])
    counts = [Count(7, "accepted", "", 2), Count(8, "accepted", "", 1)]

    count_accepted(gate, metrics, counts, now_ms=NOW_MS)

    assert gate.usage.count(7, now_ms=NOW_MS) == 2
    assert gate.usage.count(8, now_ms=NOW_MS) == 1
    accepted = 'headwater_events_total{outcome="accepted",reason=""} 3.0'
    assert accepted in metrics.render().decode()
