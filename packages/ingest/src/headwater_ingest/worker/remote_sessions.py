"""Open sessions as a worker sees them: the owner has them, for all workers."""

from typing import Final

import msgspec

from headwater_ingest.visitors.sessions import Facts, Session, Visit
from headwater_ingest.worker.owner_link import OwnerLink
from headwater_ingest.worker.protocol import (
    Answer,
    ForgetSessions,
    Found,
    NoSession,
    Register,
    TellFacts,
)
from headwater_schema.outcomes import Reason

_NO_FACTS: Final = b""


class RemoteSessionStore:
    """A `SessionStore` for the workers of a service."""

    def __init__(self, owner: OwnerLink) -> None:
        self._owner = owner

    async def register(self, visit: Visit) -> Session | Reason:
        """Returns the session of an event, begun by it if need be.

        Raises:
            OwnerGoneError: Nobody can say.
        """
        answer = await self._ask(visit, _NO_FACTS)
        if isinstance(answer, TellFacts):
            answer = await self._ask(visit, encode_facts(visit.make_facts()))
        match answer:
            case Found():
                return answer.session
            case NoSession():
                return answer.reason
            case _:
                raise TypeError(f"the owner answers what was not asked: {answer!r}")

    def forget_all(self) -> None:
        """Drops all sessions, for all workers."""
        self._owner.tell(ForgetSessions())

    async def _ask(self, visit: Visit, facts: bytes) -> Answer:
        return await self._owner.ask(
            Register(
                visit.site_id,
                visit.user_id,
                visit.previous_user_id,
                visit.time_s,
                visit.prolongs_only,
                facts,
            )
        )


encode_facts: Final = msgspec.msgpack.Encoder().encode
decode_facts: Final = msgspec.msgpack.Decoder(Facts).decode
