"""Open sessions as a worker sees them: the owner has them, for all workers.

A session that the worker has met is at hand here as well. An event that continues it by
what is known here does so by what the owner knows, which may be a later event at most;
so the owner is only told. It is asked about all others.

What the owner drops for lack of room, or because another worker has it forget all, goes
on here while its visitor comes here.
"""

from collections.abc import Awaitable
from typing import Final

import msgspec

from headwater_ingest.visitors.memory_store import MemorySessionStore
from headwater_ingest.visitors.sessions import Facts, Session, Visit
from headwater_ingest.worker.owner_link import OwnerLink
from headwater_ingest.worker.protocol import (
    ForgetSessions,
    Found,
    NoSession,
    Register,
)
from headwater_schema.outcomes import Reason

_NO_FACTS: Final = b""


class RemoteSessionStore:
    """A `SessionStore` for the workers of a service."""

    def __init__(self, owner: OwnerLink, at_hand: MemorySessionStore) -> None:
        """Begin with what is at hand.

        Args:
            owner: Has all sessions.
            at_hand: Those that this worker has met; one that is not there costs a
                question, nothing else.
        """
        self._owner = owner
        self._at_hand = at_hand

    def register(self, visit: Visit) -> Session | Awaitable[Session | Reason]:
        """Returns the session of an event, begun by it if need be.

        Raises:
            OwnerGoneError: Nobody can say, or the answer says so.
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
        self._at_hand.forget_all()
        self._owner.tell(ForgetSessions())

    async def _ask(self, visit: Visit) -> Session | Reason:
        answer = await self._owner.ask(
            Register(
                visit.site_id,
                visit.user_id,
                visit.previous_user_id,
                visit.time_s,
                visit.prolongs_only,
                _NO_FACTS if visit.prolongs_only else encode_facts(visit.make_facts()),
            )
        )
        match answer:
            case Found():
                self._at_hand.add(visit.site_id, answer.session)
                return answer.session
            case NoSession():
                return answer.reason
            case _:
                raise TypeError(f"the owner answers what was not asked: {answer!r}")


encode_facts: Final = msgspec.msgpack.Encoder().encode
decode_facts: Final = msgspec.msgpack.Decoder(Facts).decode
