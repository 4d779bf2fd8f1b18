"""The rules of a session: what continues one, and what its events take from it.

A session is one visit: events of one visitor with no gap longer than half an hour. The
first event decides where it came from and on which device it is; later events take that
over. Rows of sessions are not written: ClickHouse makes them from the events.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

from headwater_schema.outcomes import Reason

MAX_GAP_S: Final = 30 * 60
"""A gap of exactly this length continues the session, anything longer ends it."""

Facts = dict[str, str | int]
"""What the first event of a session says for all of them of source, place and device:
columns of their rows, without those that are empty."""


class Visit(msgspec.Struct, frozen=True):
    """An event that asks for its session.

    Attributes:
        site_id: The site.
        user_id: The visitor under today's salt.
        previous_user_id: The same under yesterday's, for a visit over midnight.
        time_s: When it happened, epoch seconds.
        prolongs_only: It is an engagement: it belongs to an open session or nowhere.
        make_facts: Returns what it would say as the first event of a session.
    """

    site_id: int
    user_id: int
    previous_user_id: int | None
    time_s: int
    prolongs_only: bool
    make_facts: Callable[[], Facts]


class Session(msgspec.Struct, gc=False):
    """An open session.

    The collector passes it over, and so a table of a million of them: a session refers
    to nothing that refers to it.

    Attributes:
        id: Random UInt64.
        user_id: The visitor under the salt of its first event.
        time_s: Time of its latest event.
        facts: What its first event said.
    """

    id: int
    user_id: int
    time_s: int
    facts: Facts


class SessionStore(Protocol):
    """Where open sessions are kept."""

    def register(self, visit: Visit) -> Session | Reason | Awaitable[Session | Reason]:
        """Returns the session of an event or why it has none; later, if it must ask."""


class LocalSessions(SessionStore, Protocol):
    """Open sessions that no other node shares."""

    def forget_all(self) -> None:
        """Drops all sessions."""


def continues(session: Session, time_s: int) -> bool:
    """Whether an event at `time_s` belongs to a session; one out of order does."""
    return time_s - session.time_s <= MAX_GAP_S
