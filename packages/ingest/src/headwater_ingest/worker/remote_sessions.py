"""Open sessions as a worker sees them: the owner has them, for all workers.

A session that the worker has met is at hand here as well. An event that continues it by
what is known here does so by what the owner knows, which may be a later event at most;
so the owner is only told. It is asked about all others.

What the owner drops for lack of room, or because another worker has it forget all, goes
on here while its visitor comes here.
"""

import asyncio
from functools import partial
from typing import Final, NamedTuple

import msgspec

from headwater_ingest.visitors.memory_store import MemorySessionStore
from headwater_ingest.visitors.sessions import Facts, Session, Visit
from headwater_ingest.worker.owner_link import OwnerLink
from headwater_ingest.worker.protocol import (
    Answer,
    ForgetSessions,
    Register,
    Registered,
    StrangeVisit,
)
from headwater_schema.outcomes import Reason

_NO_FACTS: Final[Facts] = {}


class _Question(NamedTuple):
    """An event that waits for its session, and what it would begin one with."""

    visit: StrangeVisit
    facts: Facts
    answer: asyncio.Future[Session | Reason]


class RemoteSessionStore:
    """A `SessionStore` for the workers of a service. Owned by the loop."""

    def __init__(self, owner: OwnerLink, at_hand: MemorySessionStore) -> None:
        """Begin with what is at hand.

        Args:
            owner: Has all sessions.
            at_hand: Those that this worker has met; one that is not there costs a
                question, nothing else.
        """
        self._owner = owner
        self._at_hand = at_hand
        self._waiting: list[_Question] = []

    def register(self, visit: Visit) -> Session | asyncio.Future[Session | Reason]:
        """Returns the session of an event, begun by it if need be.

        The future may say `OwnerGoneError`: nobody can tell. So many are waiting as
        requests are under way.
        """
        # Yesterday's visitor may have begun a session of today in another worker.
        session = self._at_hand.prolong(visit.site_id, visit.user_id, visit.time_s)
        if session is None:
            return self._ask(visit)
        known = (visit.site_id, visit.user_id, visit.time_s)
        self._owner.prolong_with_next(known)  # that is, with the row of the event
        return session

    def forget_all(self) -> None:
        """Drops all sessions, of the owner and here."""
        self._ask_all()  # those that came before
        self._at_hand.forget_all()
        self._owner.tell(ForgetSessions())

    def _ask(self, visit: Visit) -> asyncio.Future[Session | Reason]:
        """Puts an event into the question for all that come in this turn of the loop.

        It is asked when the next one begins.
        """
        loop = asyncio.get_running_loop()
        facts = _NO_FACTS if visit.prolongs_only else visit.make_facts()
        question = _Question(_describe(visit, facts), facts, loop.create_future())
        if not self._waiting:
            loop.call_soon(self._ask_all)
        self._waiting.append(question)
        return question.answer

    def _ask_all(self) -> None:
        questions, self._waiting = self._waiting, []
        if not questions:
            return
        try:
            told = self._owner.ask(Register([each.visit for each in questions]))
        except Exception as error:  # noqa: BLE001 - supervised: who asked is told
            _fail(questions, error)
        else:
            told.add_done_callback(partial(self._take, questions))

    def _take(self, questions: list[_Question], told: asyncio.Future[Answer]) -> None:
        error = told.exception()
        if error is not None:
            _fail(questions, error)
            return
        answer = told.result()
        if not isinstance(answer, Registered) or len(answer.sessions) != len(questions):
            strange = f"the owner answers what was not asked: {answer!r}"
            _fail(questions, TypeError(strange))
            return
        for question, found in zip(questions, answer.sessions, strict=True):
            session = self._keep(question, found)
            if not question.answer.done():  # cancelled: who asked has gone
                question.answer.set_result(session)

    def _keep(
        self, question: _Question, found: Session | int | Reason
    ) -> Session | Reason:
        if isinstance(found, Reason):
            return found
        visit, facts, _ = question
        if isinstance(found, int):
            found = Session(found, visit.user_id, visit.time_s, facts)
        self._at_hand.add(visit.site_id, found)
        return found


def _describe(visit: Visit, facts: Facts) -> StrangeVisit:
    return StrangeVisit(
        visit.site_id,
        visit.user_id,
        visit.previous_user_id,
        visit.time_s,
        visit.prolongs_only,
        encode_facts(facts),
    )


def _fail(questions: list[_Question], error: BaseException) -> None:
    for question in questions:
        if not question.answer.done():
            question.answer.set_exception(error)


encode_facts: Final = msgspec.msgpack.Encoder().encode
decode_facts: Final = msgspec.msgpack.Decoder(Facts).decode
