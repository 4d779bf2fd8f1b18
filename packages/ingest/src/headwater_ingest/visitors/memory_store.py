"""Open sessions in the memory of one process.

Two generations of half an hour each: a session that is used moves to the younger one,
and the older one is dropped whole when it is out of time. Nothing is ever scanned. The
loop owns the store, and each call is done before the next begins, so the events of one
visitor never overtake each other.

An open session takes about 300 bytes. Visitors share sources and devices, so each
combination of those is held once per generation; it takes 1 KB and more. There is room
for 256 characters of them per session, so that a million sessions take 0.3 to 1 GB.
"""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from headwater_ingest.visitors.sessions import (
    MAX_GAP_S,
    Facts,
    Session,
    Visit,
    continues,
)
from headwater_schema.outcomes import Reason

_FACT_CHARS: Final = 256
"""Characters of sources and devices that there is room for, per session."""


class MemorySessionStore:
    """A `SessionStore` for a service that runs as one process.

    Attributes:
        evicted: Sessions that were dropped before their time for lack of room.
    """

    def __init__(self, *, clock_s: Callable[[], float], max_sessions: int) -> None:
        """Begins with no sessions.

        Args:
            clock_s: A clock that never steps, in seconds; for the end of unused
                sessions. Whether an event continues one is decided by event time.
            max_sessions: Most open sessions; the oldest go first, many at a time.
        """
        self._clock_s = clock_s
        self._max_sessions = max_sessions
        self._young: dict[int, Session] = {}
        self._old: dict[int, Session] = {}
        self._turns_at_s = clock_s() + MAX_GAP_S
        self._facts: dict[tuple[object, ...], Facts] = {}
        self._fact_chars = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def register(self, visit: Visit) -> Session | Reason:
        """Returns the session of an event, begun by it if need be.

        Returns:
            The session, or the reason why an engagement has none.
        """
        return self.find(visit) or self.begin(visit)

    def find(self, visit: Visit) -> Session | None:
        """Returns the open session that an event continues, if there is one.

        It may be one that its visitor has had since yesterday.
        """
        session = self.prolong(visit.site_id, visit.user_id, visit.time_s)
        if session is None and visit.previous_user_id is not None:
            session = self.prolong(visit.site_id, visit.previous_user_id, visit.time_s)
        return session

    def begin(self, visit: Visit) -> Session | Reason:
        """Returns the session that an event begins, or why it may not."""
        if visit.prolongs_only:
            return Reason.NO_SESSION_FOR_ENGAGEMENT
        session = Session(
            secrets.randbits(64), visit.user_id, visit.time_s, visit.make_facts()
        )
        self.add(visit.site_id, session)
        return session

    def prolong(self, site_id: int, user_id: int, time_s: int) -> Session | None:
        """Returns the open session of this id that an event continues, if any does."""
        now_s = self._clock_s()
        if now_s >= self._turns_at_s:
            self._turn(keep_young=now_s < self._turns_at_s + MAX_GAP_S)
        session = self._find(_key(site_id, user_id), time_s)
        if session:
            session.time_s = time_s
        return session

    def add(self, site_id: int, session: Session) -> None:
        """Opens a session, in the place of what its visitor has had."""
        if self._is_full():
            self.evicted += len(self._old)
            self._turn(keep_young=True)
        session.facts = self._share(session.facts)
        self._young[_key(site_id, session.user_id)] = session

    def save(self, path: Path) -> None:
        """Writes the open sessions to a file, whole or not at all."""
        unfinished = path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        unfinished.touch(mode=0o600)
        items = (*self._old.items(), *self._young.items())
        unfinished.write_bytes(
            _encode([(key.to_bytes(16, "big"), each) for key, each in items])
        )
        unfinished.replace(path)

    def load(self, path: Path) -> None:
        """Reads what `save` wrote, and removes the file so that it is used once.

        Raises:
            ValueError: The file is not what `save` wrote; it is left where it is.
        """
        if not path.exists():
            return
        try:
            items = _decode(path.read_bytes())
        except msgspec.MsgspecError as error:
            raise ValueError(f"{path} holds no sessions: {error}") from error
        for key, session in items[-self._max_sessions // 2 :]:
            session.facts = self._share(session.facts)
            self._young[int.from_bytes(key, "big")] = session
        path.unlink()

    def forget_all(self) -> None:
        """Drops all sessions. They do not count as evicted."""
        self._turn(keep_young=False)

    def _find(self, key: int, time_s: int) -> Session | None:
        """Finds an open session and moves it to the younger generation."""
        session = self._young.get(key)
        if session is not None:
            return session if continues(session, time_s) else None
        session = self._old.pop(key, None)
        if session is None or not continues(session, time_s):
            return None
        session.facts = self._share(session.facts)
        self._young[key] = session
        return session

    def _share(self, facts: Facts) -> Facts:
        """Returns the one copy of some facts that this generation has."""
        key = tuple(facts.items())
        shared = self._facts.get(key)
        if shared is None:
            shared = self._facts[key] = facts
            self._fact_chars += sum(len(each) for _, each in key if type(each) is str)
        return shared

    def _is_full(self) -> bool:
        """Whether the younger generation has its half of the room."""
        room = self._max_sessions // 2
        return len(self._young) >= room or self._fact_chars >= room * _FACT_CHARS

    def _turn(self, *, keep_young: bool) -> None:
        self._old = self._young if keep_young else {}
        self._young = {}
        self._facts, self._fact_chars = {}, 0
        self._turns_at_s = self._clock_s() + MAX_GAP_S


def _key(site_id: int, user_id: int) -> int:
    """Returns site and visitor as one number, which takes less room than a pair."""
    return site_id << 64 | user_id


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[tuple[bytes, Session]]).decode
