"""Workers keep sessions as one process would, though each has some at hand."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import NamedTuple, cast
from unittest.mock import Mock

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.joined_worker import join, make_desk
from tests.sessions import register

from headwater_ingest.errors import OwnerGoneError
from headwater_ingest.visitors.memory_store import MemorySessionStore
from headwater_ingest.visitors.sessions import MAX_GAP_S, Session, Visit
from headwater_ingest.worker.owner_link import OwnerLink
from headwater_ingest.worker.protocol import (
    Answer,
    NotStored,
    Question,
    Register,
    Registered,
)
from headwater_ingest.worker.remote_sessions import RemoteSessionStore
from headwater_schema.outcomes import Reason

NOON_S = 1_750_000_000


class Happening(NamedTuple):
    """A visitor does something.

    Attributes:
        worker: Which worker takes it.
        after_s: After the one before it.
        user_id: The visitor under today's salt.
        previous_user_id: The same under yesterday's.
        is_engagement: Whether it begins no session.
    """

    worker: int
    after_s: int
    user_id: int
    previous_user_id: int | None
    is_engagement: bool


HAPPENINGS = st.lists(
    st.builds(
        Happening,
        worker=st.integers(0, 2),
        after_s=st.sampled_from((0, 1, 600, MAX_GAP_S - 1, MAX_GAP_S, MAX_GAP_S + 1)),
        user_id=st.integers(1, 4),
        previous_user_id=st.none() | st.integers(1, 4),
        is_engagement=st.booleans(),
    ),
    max_size=30,
)
Seen = tuple[int, int, int, dict[str, str | int]] | Reason


class Clock:
    """Stands still until it is set."""

    now_s = NOON_S

    def read(self) -> float:
        return self.now_s


class Node:
    """A service with workers.

    Attributes:
        clock: What all of it goes by.
        owned: The sessions of the owner.
        stores: Those of the workers.
    """

    def __init__(
        self, links: Iterable[OwnerLink], owned: MemorySessionStore, clock: Clock
    ) -> None:
        self.clock = clock
        self.owned = owned
        self._links = list(links)
        self.stores = [
            RemoteSessionStore(each, open_store(clock)) for each in self._links
        ]

    async def register(self, worker: int, visit: Visit) -> Session | Reason:
        """Registers an event, and waits until the owner knows of it."""
        found = await register(self.stores[worker], visit)
        await self.hear_out(worker)
        return found

    def close(self) -> None:
        """Ends all connections."""
        for each in self._links:
            each.close()

    async def hear_out(self, worker: int) -> None:
        """Returns when the owner has taken all that a worker has said."""
        assert await self._links[worker].ask(Register([])) == Registered([])


def open_store(clock: Clock) -> MemorySessionStore:
    return MemorySessionStore(clock_s=clock.read, max_sessions=1000)


@asynccontextmanager
async def open_node(workers: int) -> AsyncIterator[Node]:
    clock = Clock()
    owned = open_store(clock)
    desk = make_desk(sessions=owned)
    async with AsyncExitStack() as stack:
        joined = [await stack.enter_async_context(join(desk)) for _ in range(workers)]
        yield Node([link for link, _ in joined], owned, clock)


def make_visit(happening: Happening, time_s: int, number: int = 0) -> Visit:
    return Visit(
        7,
        happening.user_id,
        happening.previous_user_id,
        time_s,
        happening.is_engagement,
        partial(dict, browser=f"browser {number}"),
    )


def see(found: Session | Reason, names: dict[int, int]) -> Seen:
    """Returns what a session is, by a name that does not depend on chance."""
    if isinstance(found, Reason):
        return found
    name = names.setdefault(found.id, len(names))
    return name, found.user_id, found.time_s, found.facts


@settings(max_examples=60)
@given(HAPPENINGS)
def test_workers_together_keep_the_sessions_that_one_process_would(
    happenings: list[Happening],
) -> None:
    async def check() -> None:
        async with open_node(workers=3) as node:
            alone = open_store(node.clock)
            names: tuple[dict[int, int], dict[int, int]] = ({}, {})
            for number, each in enumerate(happenings):
                node.clock.now_s += each.after_s
                visit = make_visit(each, node.clock.now_s, number)
                found = see(await node.register(each.worker, visit), names[0])
                assert found == see(alone.register(visit), names[1])

    asyncio.run(check())


def test_a_session_that_was_met_is_not_asked_for_again() -> None:
    async def check() -> None:
        async with open_node(workers=1) as node:
            visit = make_visit(Happening(0, 0, 1, None, is_engagement=False), NOON_S)
            first = await node.register(0, visit)
            assert node.stores[0].register(visit) is first

    asyncio.run(check())


def test_strangers_of_one_turn_are_registered_in_their_order() -> None:
    async def check() -> None:
        async with open_node(workers=1) as node:
            visits = [
                make_visit(Happening(0, 0, user, None, is_engagement=user == 2), NOON_S)
                for user in (1, 2, 1, 2)
            ]
            first, second, third, fourth = await asyncio.gather(
                *[register(node.stores[0], each) for each in visits]
            )
            assert isinstance(first, Session)
            assert third == first
            assert second is fourth is Reason.NO_SESSION_FOR_ENGAGEMENT

    asyncio.run(check())


def test_strangers_of_one_turn_are_asked_for_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def check() -> None:
        desk = make_desk(sessions=open_store(Clock()))
        hearing = Mock(wraps=desk.take)
        monkeypatch.setattr(desk, "take", hearing)
        async with join(desk) as (link, _):
            store = RemoteSessionStore(link, open_store(Clock()))
            strangers = [
                make_visit(Happening(0, 0, user, None, is_engagement=False), NOON_S)
                for user in range(1, 4)
            ]
            await asyncio.gather(*[register(store, each) for each in strangers])
        ((question, _),) = [call.args for call in hearing.call_args_list]
        assert isinstance(question, Register)
        assert [each.user_id for each in question.visits] == [1, 2, 3]

    asyncio.run(check())


def test_sessions_are_forgotten_after_what_came_before() -> None:
    async def check() -> None:
        async with open_node(workers=1) as node:
            visit = make_visit(Happening(0, 0, 1, None, is_engagement=False), NOON_S)
            asked = asyncio.create_task(register(node.stores[0], visit))
            await asyncio.sleep(0)
            node.stores[0].forget_all()
            await asked
            await node.hear_out(0)
            assert len(node.owned) == 0

    asyncio.run(check())


class StrangeOwner:
    """Answers, if at all, what nobody has asked."""

    def __init__(self, answer: Answer | Exception) -> None:
        self._answer = answer

    def ask(self, _question: Question) -> asyncio.Future[Answer]:
        if isinstance(self._answer, Exception):
            raise self._answer
        told: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        told.set_result(self._answer)
        return told


@pytest.mark.parametrize(
    "answer, error",
    [
        (Registered([]), TypeError),
        (Registered([1, 2, 3]), TypeError),
        (NotStored(), TypeError),
        (OverflowError("too large"), OverflowError),
    ],
)
def test_each_stranger_is_told_that_the_owner_makes_no_sense(
    answer: Answer | Exception, error: type[Exception]
) -> None:
    async def check() -> None:
        owner = cast("OwnerLink", StrangeOwner(answer))
        store = RemoteSessionStore(owner, open_store(Clock()))
        visit = make_visit(Happening(0, 0, 1, None, is_engagement=False), NOON_S)
        told = await asyncio.gather(
            register(store, visit), register(store, visit), return_exceptions=True
        )
        assert [type(each) for each in told] == 2 * [error]

    asyncio.run(check())


def test_a_stranger_that_cannot_be_described_fails_alone() -> None:
    async def check() -> None:
        async with open_node(workers=1) as node:
            happening = Happening(0, 0, 1, None, is_engagement=False)
            broken = make_visit(happening._replace(user_id=2), NOON_S)
            broken = msgspec.structs.replace(
                broken, make_facts=partial(dict, browser="\ud800")
            )
            told = await asyncio.gather(
                register(node.stores[0], broken),
                register(node.stores[0], make_visit(happening, NOON_S)),
                return_exceptions=True,
            )
            assert [type(each) for each in told] == [UnicodeEncodeError, Session]

    asyncio.run(check())


def test_each_stranger_is_told_that_the_owner_is_gone() -> None:
    async def check() -> None:
        async with open_node(workers=1) as node:
            visit = make_visit(Happening(0, 0, 1, None, is_engagement=False), NOON_S)
            asked = [register(node.stores[0], visit) for _ in range(2)]
            node.close()
            told = await asyncio.gather(*asked, return_exceptions=True)
            assert [type(each) for each in told] == 2 * [OwnerGoneError]
            with pytest.raises(OwnerGoneError):
                await register(node.stores[0], visit)

    asyncio.run(check())


def test_the_sessions_of_a_worker_that_died_go_on_in_the_next() -> None:
    async def check() -> None:
        async with open_node(workers=2) as node:
            happening = Happening(0, 0, 1, None, is_engagement=False)
            first = await node.register(0, make_visit(happening, NOON_S))
            later = make_visit(happening, NOON_S + MAX_GAP_S)
            await node.register(0, later)
            latest = make_visit(happening, NOON_S + 2 * MAX_GAP_S)
            found = await node.register(1, latest)
            assert isinstance(first, Session)
            assert isinstance(found, Session)
            assert found.id == first.id

    asyncio.run(check())


def test_what_is_forgotten_is_forgotten_here_and_there() -> None:
    async def check() -> None:
        async with open_node(workers=1) as node:
            visit = make_visit(Happening(0, 0, 1, None, is_engagement=False), NOON_S)
            first = await node.register(0, visit)
            node.stores[0].forget_all()
            second = await node.register(0, visit)
            assert isinstance(first, Session)
            assert isinstance(second, Session)
            assert first.id != second.id
            assert len(node.owned) == 1

    asyncio.run(check())
