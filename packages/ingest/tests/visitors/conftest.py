"""Session stores, each on a clock that a test sets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from types import MappingProxyType

import pytest
from tests.joined_worker import join, make_desk
from tests.redis_server import RedisServer, run_redis
from tests.sessions import register

from headwater_ingest.visitors.memory_store import MemorySessionStore
from headwater_ingest.visitors.redis_client import make_client
from headwater_ingest.visitors.redis_store import RedisSessionStore
from headwater_ingest.visitors.sessions import Session, SessionStore, Visit
from headwater_ingest.worker.remote_sessions import RemoteSessionStore
from headwater_schema.outcomes import Reason

NOON_S = 1_750_000_000


class Visitors:
    """Lets visitors do something, and tells their sessions.

    Attributes:
        now_s: When they do it.
    """

    def __init__(
        self, runner: asyncio.Runner, open_store: Callable[[Visitors], SessionStore]
    ) -> None:
        self.now_s = NOON_S
        self._runner = runner
        self.store = open_store(self)

    def visit(
        self,
        user_id: int = 1,
        *,
        site_id: int = 7,
        previous: int | None = None,
        after_s: int = 0,
        is_engagement: bool = False,
        facts: Mapping[str, str | int] = MappingProxyType({"browser": "Chrome"}),
    ) -> Session | Reason:
        """Registers one event and returns a copy of its session, or why it has none."""
        self.now_s += after_s
        visit = Visit(
            site_id, user_id, previous, self.now_s, is_engagement, lambda: dict(facts)
        )
        return _copy(self._runner.run(register(self.store, visit)))

    def visit_together(self, *user_ids: int) -> list[Session | Reason]:
        """Registers several events side by side."""

        async def gather() -> list[Session | Reason]:
            return await asyncio.gather(
                *(register(self.store, self._visit_of(each)) for each in user_ids)
            )

        return [_copy(each) for each in self._runner.run(gather())]

    def _visit_of(self, user_id: int) -> Visit:
        return Visit(7, user_id, None, self.now_s, prolongs_only=False, make_facts=dict)


def _copy(session: Session | Reason) -> Session | Reason:
    if isinstance(session, Reason):
        return session
    return Session(session.id, session.user_id, session.time_s, session.facts)


def open_memory_store(visitors: Visitors) -> SessionStore:
    return MemorySessionStore(clock_s=lambda: visitors.now_s, max_sessions=1000)


@asynccontextmanager
async def open_redis_store(url: str) -> AsyncIterator[RedisSessionStore]:
    """A store as `serve` opens it. The keys in Redis age by the clock on the wall."""
    here = MemorySessionStore(clock_s=time.monotonic, max_sessions=1000)
    client = make_client(url)
    store = RedisSessionStore(client, here=here)
    try:
        await store.start()
        yield store
    finally:
        await store.close()
        await client.aclose()


@contextmanager
def visitors_of_redis(runner: asyncio.Runner, url: str) -> Iterator[Visitors]:
    """Visitors of a node whose sessions are in Redis."""
    opened = open_redis_store(url)
    store = runner.run(opened.__aenter__())
    yield Visitors(runner, lambda _: store)
    runner.run(opened.__aexit__(None, None, None))


@pytest.fixture(scope="session")
def _redis() -> Iterator[RedisServer]:
    with run_redis() as server:
        yield server


@pytest.fixture
def redis_server(_redis: RedisServer) -> RedisServer:
    """A Redis that is empty, and is as it was started at the end of the test."""
    _redis.client.flushall()
    return _redis


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis that the test may break."""
    with run_redis() as server:
        yield server


@asynccontextmanager
async def open_remote_store(visitors: Visitors) -> AsyncIterator[RemoteSessionStore]:
    """The store of a worker, whose owner keeps the sessions in memory."""
    memory = MemorySessionStore(clock_s=lambda: visitors.now_s, max_sessions=1000)
    async with join(make_desk(sessions=memory)) as (link, _owner):
        at_hand = MemorySessionStore(clock_s=lambda: visitors.now_s, max_sessions=1000)
        yield RemoteSessionStore(link, at_hand)


@contextmanager
def visitors_of_worker(runner: asyncio.Runner) -> Iterator[Visitors]:
    """Visitors of one of several workers."""
    visitors = Visitors(runner, open_memory_store)
    opened = open_remote_store(visitors)
    visitors.store = runner.run(opened.__aenter__())
    yield visitors
    runner.run(opened.__aexit__(None, None, None))


@pytest.fixture(params=["memory", "redis", "worker"])
def visitors(request: pytest.FixtureRequest) -> Iterator[Visitors]:
    """Visitors with a store of each kind that there is."""
    with asyncio.Runner() as runner:
        if request.param == "memory":
            yield Visitors(runner, open_memory_store)
            return
        if request.param == "worker":
            with visitors_of_worker(runner) as visitors:
                yield visitors
            return
        server: RedisServer = request.getfixturevalue("redis_server")
        with visitors_of_redis(runner, server.url) as visitors:
            yield visitors


@pytest.fixture
def open_visitors() -> Iterator[Callable[..., Visitors]]:
    """Returns a function that opens a memory store, for what only that one promises."""
    with asyncio.Runner() as runner:

        def open_visitors(max_sessions: int = 1000) -> Visitors:
            return Visitors(
                runner,
                lambda visitors: MemorySessionStore(
                    clock_s=lambda: visitors.now_s, max_sessions=max_sessions
                ),
            )

        yield open_visitors
