"""What only the store in Redis promises: sharing, and what happens without Redis."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from packages.ingest.tests.visitors.conftest import NOON_S, open_redis_store
from structlog.testing import capture_logs

from headwater_ingest.visitors.memory_store import MemorySessionStore
from headwater_ingest.visitors.redis_client import ANSWER_S
from headwater_ingest.visitors.redis_store import RedisSessionStore
from headwater_ingest.visitors.sessions import MAX_GAP_S, Session, Visit
from headwater_schema.outcomes import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from redis.asyncio import Redis
    from tests.redis_server import RedisServer

    from headwater_ingest.visitors.sessions import Facts

GOOGLE: Facts = {"referrer_source": "Google", "city_geoname_id": 5}
KEY = "headwater:session:7:1"
YESTERDAY = "headwater:session:7:2"
DEADLINE_S = 20.0
FORGED_CITY = msgspec.msgpack.encode((1, 2, {"city_geoname_id": "Paris"}))


def visit_at(
    time_s: int,
    user_id: int = 1,
    *,
    previous: int | None = None,
    is_engagement: bool = False,
    facts: Facts = GOOGLE,
) -> Visit:
    return Visit(7, user_id, previous, time_s, is_engagement, lambda: dict(facts))


async def open_session(store: RedisSessionStore, visit: Visit) -> Session:
    session = await store.register(visit)
    assert isinstance(session, Session)
    return session


async def wait_until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110 - what another process does
            await asyncio.sleep(0.02)


def with_store(
    server: RedisServer,
    work: Callable[[RedisSessionStore], Coroutine[Any, Any, None]],
) -> list[str]:
    """Does something with a store, and returns what was logged."""

    async def run() -> None:
        async with open_redis_store(server.url) as store:
            await work(store)

    with capture_logs() as logs:
        asyncio.run(run())
    return [each["event"] for each in logs]


def test_two_nodes_give_a_visitor_one_session(redis_server: RedisServer) -> None:
    async def run() -> None:
        async with (
            open_redis_store(redis_server.url) as one,
            open_redis_store(redis_server.url) as other,
        ):
            sessions = await asyncio.gather(
                *(
                    open_session(node, visit_at(NOON_S, facts={"browser": str(number)}))
                    for number in range(20)
                    for node in (one, other)
                )
            )
        assert len({each.id for each in sessions}) == 1
        assert len({each.facts["browser"] for each in sessions}) == 1

    asyncio.run(run())


def test_a_key_outlives_its_session_by_little(redis_server: RedisServer) -> None:
    async def work(store: RedisSessionStore) -> None:
        await store.register(visit_at(NOON_S))
        assert MAX_GAP_S < redis_server.client.ttl(KEY) <= MAX_GAP_S + 60
        redis_server.client.expire(KEY, 10)
        await store.register(visit_at(NOON_S, is_engagement=True))
        assert redis_server.client.ttl(KEY) > MAX_GAP_S

    assert with_store(redis_server, work) == []


def test_events_side_by_side_take_few_round_trips(redis_server: RedisServer) -> None:
    async def work(store: RedisSessionStore) -> None:
        redis_server.client.config_resetstat()
        visits = [visit_at(NOON_S, user_id) for user_id in range(100)]
        await asyncio.gather(*(store.register(each) for each in visits))
        calls = redis_server.client.info("commandstats")["cmdstat_evalsha"]["calls"]
        assert calls == 1

    assert with_store(redis_server, work) == []


def test_a_session_that_redis_evicted_is_begun_anew(redis_server: RedisServer) -> None:
    async def work(store: RedisSessionStore) -> None:
        first = await open_session(store, visit_at(NOON_S))
        redis_server.client.delete(KEY)
        assert (await open_session(store, visit_at(NOON_S))).id != first.id

    assert with_store(redis_server, work) == []


def test_the_script_is_loaded_again_when_redis_forgot_it(
    redis_server: RedisServer,
) -> None:
    async def work(store: RedisSessionStore) -> None:
        first = await open_session(store, visit_at(NOON_S))
        redis_server.client.script_flush()
        assert (await open_session(store, visit_at(NOON_S))).id == first.id

    assert with_store(redis_server, work) == []


GARBAGE = {
    "nothing": b"",
    "words": b"Nothing of ours \0",
    "time alone": b"1750000000 ",
    "many digits": b"9" * 400 + b" x",
    "cut": b"1750000000 \x93\xcf",
    "another shape": b"1750000000 \x81\x01\x02",
    "negative id": b"1750000000 " + msgspec.msgpack.encode((-1, 2, {})),
    "wrong fact": b"1750000000 " + FORGED_CITY,
    "very large": b"1750000000 " + b"x" * 200_000,
}


@pytest.mark.parametrize("place", [(KEY,), (YESTERDAY,), (KEY, YESTERDAY)])
@pytest.mark.parametrize("value", GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_session_is_replaced_by_one(
    redis_server: RedisServer, value: bytes, place: tuple[str, ...]
) -> None:
    async def work(store: RedisSessionStore) -> None:
        for number, key in enumerate(place):
            redis_server.client.set(key, value + b"!" * number)
        visits = [visit_at(NOON_S, previous=2) for _ in range(10)]
        sessions = await asyncio.gather(*(open_session(store, each) for each in visits))
        sessions.append(await open_session(store, visit_at(NOON_S + 60)))
        assert len({each.id for each in sessions}) == 1
        assert sessions[-1].facts == GOOGLE

    assert with_store(redis_server, work) == []


def test_a_value_of_another_type_is_replaced(redis_server: RedisServer) -> None:
    async def work(store: RedisSessionStore) -> None:
        redis_server.client.lpush(KEY, "a", "b")
        first = await open_session(store, visit_at(NOON_S))
        assert (await open_session(store, visit_at(NOON_S))).id == first.id

    assert with_store(redis_server, work) == []


def test_an_engagement_does_not_continue_what_is_no_session(
    redis_server: RedisServer,
) -> None:
    async def work(store: RedisSessionStore) -> None:
        redis_server.client.set(KEY, f"{NOON_S} nothing")
        engagement = visit_at(NOON_S, is_engagement=True)
        assert await store.register(engagement) is Reason.NO_SESSION_FOR_ENGAGEMENT

    assert with_store(redis_server, work) == []


def test_facts_that_a_later_release_added_are_passed_over(
    redis_server: RedisServer,
) -> None:
    async def work(store: RedisSessionStore) -> None:
        later = msgspec.msgpack.encode((8, 9, {**GOOGLE, "weather": "fine"}))
        redis_server.client.set(KEY, b"%d " % NOON_S + later)
        session = await open_session(store, visit_at(NOON_S))
        assert session == Session(8, 9, NOON_S, GOOGLE)

    assert with_store(redis_server, work) == []


def test_the_longest_facts_are_kept(redis_server: RedisServer) -> None:
    facts: Facts = dict.fromkeys(("referrer", "utm_source"), "\N{SNOWMAN}" * 2000)

    async def work(store: RedisSessionStore) -> None:
        first = await open_session(store, visit_at(NOON_S, facts=facts))
        second = await open_session(store, visit_at(NOON_S))
        assert (second.id, second.facts) == (first.id, facts)

    assert with_store(redis_server, work) == []


class StubbornClient:
    """Has a script that answers, or raises, always the same."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def register_script(self, _text: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def run(keys: list[bytes], _arguments: object) -> list[object]:
            if isinstance(self.answer, Exception):
                raise self.answer
            if isinstance(self.answer, list):
                return self.answer
            return [self.answer] * (len(keys) // 2)

        return run


@asynccontextmanager
async def stubborn_store(answer: object) -> AsyncIterator[RedisSessionStore]:
    store = RedisSessionStore(
        cast("Redis", StubbornClient(answer)),
        here=MemorySessionStore(clock_s=time.monotonic, max_sessions=1000),
    )
    yield store
    await store.close()


def test_a_key_that_somebody_else_keeps_busy_is_a_lock_timeout() -> None:
    async def run() -> Session | Reason:
        async with stubborn_store(b"nothing of ours") as store:
            return await store.register(visit_at(NOON_S))

    assert asyncio.run(run()) is Reason.LOCK_TIMEOUT


@pytest.mark.parametrize(
    "answer,levels",
    [(ZeroDivisionError(), ["error", "warning"]), ([], ["warning"])],
    ids=["fails", "is short"],
)
def test_whatever_the_client_does_events_are_answered(
    answer: object, levels: list[str]
) -> None:
    async def run() -> None:
        async with stubborn_store(answer) as store:
            await open_session(store, visit_at(NOON_S))
            assert store.is_away

    with capture_logs() as logs:
        asyncio.run(run())

    assert [each["log_level"] for each in logs] == levels


def count_here(store: RedisSessionStore) -> int:
    assert isinstance(store.here, MemorySessionStore)
    return len(store.here)


OUTAGE = ["Redis does not answer", "Redis answers again"]


def test_an_outage_is_bridged_and_told_once(own_redis: RedisServer) -> None:
    async def work(store: RedisSessionStore) -> None:
        before = await open_session(store, visit_at(NOON_S))
        own_redis.kill()
        during = [await open_session(store, visit_at(NOON_S + 1)) for _ in range(50)]
        assert len({each.id for each in during}) == 1
        assert (store.is_away, store.kept_here, count_here(store)) == (True, 50, 1)
        engagement = visit_at(NOON_S, 5, is_engagement=True)
        assert await store.register(engagement) is Reason.NO_SESSION_FOR_ENGAGEMENT

        own_redis.start()
        await wait_until(lambda: not store.is_away)
        after = await open_session(store, visit_at(NOON_S + 2))
        assert len({each.id for each in (before, during[0], after)}) == 3
        assert (store.kept_here, count_here(store)) == (51, 0)

    assert with_store(own_redis, work) == OUTAGE


def test_a_start_does_not_wait_for_redis(own_redis: RedisServer) -> None:
    own_redis.kill()

    async def work(store: RedisSessionStore) -> None:
        assert store.is_away
        await open_session(store, visit_at(NOON_S))
        own_redis.start()
        await wait_until(lambda: not store.is_away)
        await open_session(store, visit_at(NOON_S))
        assert own_redis.client.exists(KEY)

    assert with_store(own_redis, work) == OUTAGE


def test_a_redis_that_hangs_keeps_nobody_waiting_for_more_than_a_second(
    own_redis: RedisServer,
) -> None:
    async def work(store: RedisSessionStore) -> None:
        before = await open_session(store, visit_at(NOON_S))
        with own_redis.hung():
            started = time.monotonic()
            early = asyncio.create_task(open_session(store, visit_at(NOON_S)))
            await asyncio.sleep(0)
            await asyncio.gather(
                early, *(open_session(store, visit_at(NOON_S, each)) for each in (2, 3))
            )
            assert ANSWER_S <= time.monotonic() - started < 2 * ANSWER_S + 0.5
            started = time.monotonic()
            await open_session(store, visit_at(NOON_S, 4))
            assert time.monotonic() - started < ANSWER_S
        await wait_until(lambda: not store.is_away)
        # What was open before goes on.
        assert (await open_session(store, visit_at(NOON_S))).id == before.id

    assert with_store(own_redis, work) == OUTAGE


def test_a_connection_that_was_lost_while_idle_is_no_outage(
    own_redis: RedisServer,
) -> None:
    async def work(store: RedisSessionStore) -> None:
        first = await open_session(store, visit_at(NOON_S))
        own_redis.client.client_kill_filter(_type="normal", skipme=True)
        assert (await open_session(store, visit_at(NOON_S))).id == first.id
        own_redis.kill()
        own_redis.start()
        assert (await open_session(store, visit_at(NOON_S))).id != first.id
        assert not store.is_away

    assert with_store(own_redis, work) == []


@pytest.mark.parametrize(
    "setting,broken,sound",
    [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")],
    ids=["full", "without its replica"],
)
def test_a_redis_that_does_not_take_writes_is_away(
    own_redis: RedisServer, setting: str, broken: str, sound: str
) -> None:
    async def work(store: RedisSessionStore) -> None:
        own_redis.client.config_set(setting, broken)
        await open_session(store, visit_at(NOON_S))
        assert store.is_away
        own_redis.client.config_set(setting, sound)
        await wait_until(lambda: not store.is_away)

    assert with_store(own_redis, work) == OUTAGE


def test_a_wrong_password_is_told_without_the_right_one(own_redis: RedisServer) -> None:
    own_redis.client.config_set("requirepass", "unmistakable")

    async def run() -> None:
        url = own_redis.url.replace("unix://", "unix://:wrong-one@")
        async with open_redis_store(url) as store:
            assert store.is_away
            await open_session(store, visit_at(NOON_S))

    with capture_logs() as logs:
        asyncio.run(run())

    [log] = logs
    assert "WRONGPASS" in log["problem"] or "password" in log["problem"]
    assert "wrong-one" not in str(log)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 100])
def test_something_that_is_no_redis_is_away(answer: bytes) -> None:
    async def talk(_reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, open_redis_store(f"redis://127.0.0.1:{port}") as store:
            await open_session(store, visit_at(NOON_S))
            assert store.is_away

    with capture_logs() as logs:
        asyncio.run(run())

    assert [each["event"] for each in logs] == OUTAGE[:1]


def test_an_event_whose_client_has_gone_harms_no_other(
    redis_server: RedisServer,
) -> None:
    async def work(store: RedisSessionStore) -> None:
        gone = asyncio.create_task(open_session(store, visit_at(NOON_S)))
        other = asyncio.create_task(open_session(store, visit_at(NOON_S, 2)))
        await asyncio.sleep(0)
        gone.cancel()
        await other
        assert gone.cancelled()

    assert with_store(redis_server, work) == []
