"""Open sessions in Redis, where a visitor has one session on all nodes.

    headwater:session:<site>:<user>    <time of its latest event> <stored session>

A key lives a little longer than a session may rest. One script does all that an event
needs, so the events of a visitor never overtake each other, on whatever node they
arrive; to run it twice for an event does no more than to run it once. Events that
arrive while Redis is at work go to it together, in one round trip.

While Redis does not answer, this node keeps sessions in its own memory: no event waits
longer than a second, and none is lost. When it is back, the sessions that it has go on.
"""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from headwater_ingest.visitors.redis_client import ANSWER_S
from headwater_ingest.visitors.sessions import (
    MAX_GAP_S,
    LocalSessions,
    Session,
    Visit,
)
from headwater_ingest.visitors.stored_session import decode_session, encode_session
from headwater_schema.outcomes import Reason

_KEY: Final = b"headwater:session:%d:%d"
_PROBE: Final = b"headwater:session:probe"

_KEEP_S: Final = MAX_GAP_S + 60  # event times are of the nodes, which may differ a bit
_MAX_BYTES: Final = (
    64 * 1024
)  # of a value; ours have 20 KB at most, by the limits of URLs
_PAUSE_S: Final = 1.0
_TRIES: Final = 3  # each of the two keys may hold something that is no session

# KEYS: two for each event, its visitor under today's id and under yesterday's, which
# may be the same. ARGV: seconds to keep a key, longest gap, most bytes of a value; then
# three for each event: its time, the session that it would begin, and what was found
# for it before and is no session.
_SCRIPT: Final = """
local keep, gap, last = ARGV[1], tonumber(ARGV[2]), ARGV[3] - 1

local function find(key, time, refused)
    local value = redis.pcall('GETRANGE', key, 0, last)
    if type(value) ~= 'string' then
        return nil
    end
    local latest, session = string.match(value, '^(%d+) (.+)$')
    if not latest or time - tonumber(latest) > gap then
        return nil
    end
    if session == refused then
        redis.call('DEL', key)
        return nil
    end
    redis.call('SET', key, time .. ' ' .. session, 'EX', keep)
    return session
end

local sessions = {}
for i = 1, #KEYS / 2 do
    local today, yesterday = KEYS[2 * i - 1], KEYS[2 * i]
    local time, new, refused = ARGV[3 * i + 1], ARGV[3 * i + 2], ARGV[3 * i + 3]
    local session = find(today, time, refused)
    if not session and yesterday ~= today then
        session = find(yesterday, time, refused)
    end
    if not session and new ~= '' then
        redis.call('SET', today, time .. ' ' .. new, 'EX', keep)
        session = new
    end
    sessions[i] = session or false
end
return sessions
"""

_log = structlog.stdlib.get_logger(__name__)


class _Question(NamedTuple):
    """An event that waits for Redis. The answer is `_NOBODY` if there is none."""

    keys: tuple[bytes, bytes]
    arguments: tuple[int, bytes, bytes]
    answer: "asyncio.Future[object]"


_NOBODY: Final = object()


class RedisSessionStore:
    """A `SessionStore` for nodes that share their visitors. Owned by the loop.

    Attributes:
        here: The sessions of this node while Redis does not answer.
        is_away: Whether Redis does not answer.
        kept_here: Events whose session was one of `here`.
    """

    def __init__(self, client: Redis, *, here: LocalSessions) -> None:
        """Begins with nothing known about Redis; `start` finds out."""
        self.here = here
        self.is_away = False
        self.kept_here = 0
        self._run_script = client.register_script(_SCRIPT)
        self._waiting: list[_Question] = []
        self._asking: asyncio.Task[None] | None = None
        self._returning: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Sees whether Redis answers."""
        problem = await self._probe()
        if problem:
            self._leave(problem)

    async def close(self) -> None:
        """Ends what goes on in the background. No more events may come."""
        for task in filter(None, (self._asking, self._returning)):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def register(self, visit: Visit) -> Session | Reason:
        """Returns the session of an event, begun by it if need be.

        Returns:
            The session, or the reason why an engagement has none. `LOCK_TIMEOUT` if
            somebody else keeps writing what is no session under the visitor's key.
        """
        if self.is_away:
            return await self._register_here(visit)
        new, refused = _begin(visit), b""
        for _ in range(_TRIES):
            found = await self._ask(visit, new=new, refused=refused)
            if found is None:
                return Reason.NO_SESSION_FOR_ENGAGEMENT
            if not isinstance(found, bytes):
                return await self._register_here(visit)
            session = decode_session(found, time_s=visit.time_s)
            if session:
                return session
            refused = found
        return Reason.LOCK_TIMEOUT

    async def _register_here(self, visit: Visit) -> Session | Reason:
        self.kept_here += 1
        found = self.here.register(visit)
        return found if isinstance(found, Session | Reason) else await found

    def _ask(
        self, visit: Visit, *, new: bytes, refused: bytes
    ) -> "asyncio.Future[object]":
        """Puts an event into the next batch; the answer is the session that it has."""
        question = _Question(
            _keys(visit),
            (visit.time_s, new, refused),
            asyncio.get_running_loop().create_future(),
        )
        self._waiting.append(question)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all())
        return question.answer

    async def _ask_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            found = await self._run(batch)
            if isinstance(found, str):
                self._leave(found)
                # Those that came meanwhile need not find out for themselves.
                batch, self._waiting = batch + self._waiting, []
                found = [_NOBODY] * len(batch)
            for question, each in zip(batch, found, strict=True):
                if not question.answer.done():
                    question.answer.set_result(each)

    async def _run(self, batch: Sequence[_Question]) -> Sequence[object] | str:
        """Returns what the script says to each event, or why it says nothing."""
        keys = [key for each in batch for key in each.keys]
        arguments: list[int | bytes] = [_KEEP_S, MAX_GAP_S, _MAX_BYTES]
        for each in batch:
            arguments += each.arguments
        try:
            async with asyncio.timeout(ANSWER_S):
                found: list[object] = await self._run_script(keys, arguments)
            is_whole = len(found) == len(batch)
        except (RedisError, OSError) as error:  # a TimeoutError is an OSError
            return str(error) or f"no answer within {ANSWER_S} s"
        except Exception as error:  # noqa: BLE001 - events wait, and must go on
            _log.exception("the client for Redis failed")
            return repr(error)
        return found if is_whole else "it answers what it was not asked"

    async def _probe(self) -> str | None:
        """Returns why Redis would not serve an event, if it would not."""
        nobody = asyncio.get_running_loop().create_future()
        found = await self._run([_Question((_PROBE, _PROBE), (0, b"-", b""), nobody)])
        return found if isinstance(found, str) else None

    def _leave(self, problem: str) -> None:
        """Turns to the sessions of this node, and waits for Redis to be back."""
        if self.is_away:
            return
        self.is_away = True
        _log.warning(
            "Redis does not answer",
            problem=problem,
            meanwhile="sessions are this node's own; no event is lost",
        )
        self._returning = asyncio.create_task(self._return())

    async def _return(self) -> None:
        before = self.kept_here
        while True:
            await asyncio.sleep(_PAUSE_S)
            if await self._probe() is None:
                break
        self.is_away = False
        self.here.forget_all()
        _log.info("Redis answers again", kept_here=self.kept_here - before)


def _keys(visit: Visit) -> tuple[bytes, bytes]:
    today = _KEY % (visit.site_id, visit.user_id)
    if visit.previous_user_id is None:
        return today, today
    return today, _KEY % (visit.site_id, visit.previous_user_id)


def _begin(visit: Visit) -> bytes:
    """Returns the session that an event would begin; nothing if it may not."""
    if visit.prolongs_only:
        return b""
    return encode_session(secrets.randbits(64), visit.user_id, visit.make_facts())
