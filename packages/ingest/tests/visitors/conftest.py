"""Session stores, each on a clock that a test sets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Protocol

import pytest

from headwater_ingest.visitors.memory_store import MemorySessionStore
from headwater_ingest.visitors.sessions import Session, Visit
from headwater_schema.outcomes import Reason

NOON_S = 1_750_000_000


class SessionStore(Protocol):
    """What all stores promise."""

    async def register(self, visit: Visit) -> Session | Reason: ...


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
        return _copy(self._runner.run(self.store.register(visit)))

    def visit_together(self, *user_ids: int) -> list[Session | Reason]:
        """Registers several events side by side."""

        async def gather() -> list[Session | Reason]:
            return await asyncio.gather(
                *(self.store.register(self._visit_of(each)) for each in user_ids)
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


@pytest.fixture(params=[open_memory_store], ids=["memory"])
def visitors(request: pytest.FixtureRequest) -> Iterator[Visitors]:
    """Visitors with a store of each kind that there is."""
    with asyncio.Runner() as runner:
        yield Visitors(runner, request.param)


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
