"""What the pool does without a worker that works; the others are in tests/e2e."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs
from tests.joined_worker import make_desk

from headwater_ingest import backoff
from headwater_ingest.errors import WorkersNotStartedError
from headwater_ingest.settings import Settings
from headwater_ingest.shared_state import SharedState
from headwater_ingest.site_sync import SitesInForce
from headwater_ingest.sites.record import SiteRecord
from headwater_ingest.telemetry.metrics import Metrics
from headwater_ingest.visitors.salts import DAY_MS, Salts
from headwater_ingest.worker import pool as pool_module
from headwater_ingest.worker import supervisor
from headwater_ingest.worker.limits import open_limits
from headwater_ingest.worker.pool import WorkerPool, open_pool
from headwater_ingest.worker.protocol import Begin, PutSalts, PutSites

_HANGS = """
import socket, sys, time
from headwater_ingest.worker.frames import begin_frame, end_frame
from headwater_ingest.worker.protocol import Ready, encoder
frame = bytearray()
at = begin_frame(frame)
encoder.encode_into(Ready(), frame, -1)
end_frame(frame, at, number=0)
owner = socket.socket(fileno=int(sys.argv[3]))
owner.sendall(frame)
time.sleep(1000)
"""
"""Says that it is ready, and then nothing any more."""

PoolOf = Callable[[int], AbstractAsyncContextManager[WorkerPool]]

MIDNIGHT_MS = 20_000 * DAY_MS


@dataclass
class Sync:
    in_force: SitesInForce | None = None


@dataclass
class Shared:
    """The sites and salts of an owner."""

    site_sync: Sync = field(default_factory=Sync)
    salts: Salts = field(default_factory=Salts)


@pytest.fixture
def shared() -> Shared:
    return Shared()


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@pytest.fixture
def pool(shared: Shared, sock: socket.socket, tmp_path: Path) -> Iterator[WorkerPool]:
    """A pool of which nothing is started."""
    with open_limits(tmp_path) as limits:
        yield WorkerPool(
            Settings(workers=2),
            sock,
            shared=cast("SharedState", shared),
            limits=limits,
            metrics_dir=tmp_path,
        )


@pytest.fixture
def pool_of(shared: Shared, sock: socket.socket, tmp_path: Path) -> PoolOf:
    """Opens a pool of so many workers, for which nobody does anything."""

    @asynccontextmanager
    async def open_it(workers: int) -> AsyncIterator[WorkerPool]:
        with open_limits(tmp_path) as limits:
            async with open_pool(
                Settings(workers=workers, data_dir=tmp_path),
                sock,
                shared=cast("SharedState", shared),
                limits=limits,
                metrics=Metrics("0"),
            ) as pool:
                assert pool
                pool.answer_by(make_desk())
                yield pool

    return open_it


def test_a_service_none_of_whose_workers_starts_says_so(
    pool_of: PoolOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies = (sys.executable, "-c", "raise SystemExit(3)")
    monkeypatch.setattr(supervisor, "_COMMAND", dies)
    monkeypatch.setattr(backoff, "FIRST_RESTART_S", 0.001)
    monkeypatch.setattr(pool_module, "_START_S", 1.0)

    async def start() -> tuple[int, int]:
        async with pool_of(2) as pool:
            with pytest.raises(WorkersNotStartedError, match="HEADWATER_WORKERS"):
                await pool.start()
            return pool.read().up, pool.read().restarts

    up, restarts = asyncio.run(start())
    assert up == 0
    assert restarts > 0


def test_a_worker_that_hangs_is_ended(
    pool_of: PoolOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_COMMAND", (sys.executable, "-c", _HANGS))
    monkeypatch.setattr(supervisor, "_LOOK_S", 0.01)

    async def run() -> None:
        async with pool_of(1) as pool:
            await pool.start()
            deadline = time.monotonic() + 60
            while not pool.read().restarts:
                assert time.monotonic() < deadline, logs
                await asyncio.sleep(0.01)

    with capture_logs() as logs:
        asyncio.run(run())

    assert [each["event"] for each in logs[:3]] == [
        "workers started",
        "worker hangs and is killed",
        "worker died",
    ]


def test_a_worker_is_told_all_that_it_needs_and_the_salts_last(
    pool: WorkerPool, shared: Shared
) -> None:
    shared.site_sync.in_force = ([SiteRecord(id=1, domain="example.com")], True)
    pool._look()

    greeting = list(pool._greet())

    assert [type(each) for each in greeting] == [Begin, PutSites, PutSalts]
    assert greeting[1] == PutSites(
        [SiteRecord(id=1, domain="example.com")], are_all=True
    )
    assert greeting[2] == PutSalts(shared.salts.known)


def test_workers_are_told_of_what_has_changed_and_of_nothing_else(
    pool: WorkerPool, shared: Shared
) -> None:
    assert pool._look() == [PutSalts(shared.salts.known)]
    assert pool._look() == []

    shared.site_sync.in_force = ([], False)

    assert pool._look() == [PutSites([], are_all=False)]
    assert pool._look() == []


def test_all_workers_have_the_same_salt_when_a_day_begins(
    pool: WorkerPool, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "now_ms", lambda: MIDNIGHT_MS - 30_000)

    [told] = pool._look()

    worker = Salts()
    assert isinstance(told, PutSalts)
    worker.take_over(told.salts)
    assert worker.current(MIDNIGHT_MS) == shared.salts.current(MIDNIGHT_MS)
