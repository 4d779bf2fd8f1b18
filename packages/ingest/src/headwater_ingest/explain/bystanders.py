"""Parts that stand where the service would write, and write nothing."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from headwater_ingest.journal.counts import Count
from headwater_ingest.journal.entry import (
    Committed,
    Entry,
    Receipt,
    StoredAnswer,
    split_ids,
)
from headwater_ingest.journal.peek import peek_batch, peek_events
from headwater_ingest.rows import Row, Rows, decode_rows
from headwater_ingest.visitors.sessions import Session, Visit
from headwater_schema.outcomes import Reason


class OpenDoor:
    """A door that is open."""

    refusing = False


class AssumedSessions:
    """Takes every engagement for the part of a session, and begins no session.

    Attributes:
        has_assumed: Whether it had to.
    """

    def __init__(self) -> None:
        self.has_assumed = False

    async def register(self, visit: Visit) -> Session | Reason:
        """Returns what would be the session of an event, were it the first one."""
        self.has_assumed |= visit.prolongs_only
        facts = {} if visit.prolongs_only else visit.make_facts()
        return Session(0, visit.user_id, visit.time_s, facts)


class NoBuffer:
    """Takes rows, and forgets them."""

    def put(
        self, _rows: Sequence[Row], done: Callable[[Exception | None], object]
    ) -> None:
        """Says at once that it is done."""
        done(None)

    def count_dropped(self, site_id: int, reason: Reason) -> None:
        """Does nothing."""


class SeenJournal:
    """Knows what the journal has seen, and keeps the one entry that it is given.

    Attributes:
        keys: The window keys of the events that were asked for last.
        entry: What would have been appended.
        seen_through: 0, since nothing is committed.
    """

    seen_through: Final = 0

    def __init__(self, directory: Path | None) -> None:
        """Looks into the journal of a directory, if there is one."""
        self._directory = directory
        self.keys: Sequence[bytes] = ()
        self.entry: Entry | None = None

    def seen_batch(self, batch_id: bytes, /) -> bool:
        """Whether a batch was taken before."""
        return self._find(batch_id) is not None

    def seen_events(self, ids: Sequence[bytes], /) -> Collection[bytes]:
        """Returns those events that were taken before."""
        self.keys = ids
        return peek_events(self._directory, ids) if self._directory else ()

    async def stored_answer(self, batch_id: bytes, /) -> StoredAnswer | None:
        """Returns what the journal remembers of a batch."""
        return self._find(batch_id)

    async def append(self, entry: Entry, /) -> Receipt:
        """Keeps the entry."""
        self.entry = entry
        return Committed()

    def count(self, count: Count, /) -> None:
        """Does nothing."""

    def kept(self) -> tuple[tuple[bytes, ...], Rows | None]:
        """Returns the keys and the rows of the events that would be stored."""
        if self.entry is None or not self.entry.row_count:
            return (), None
        return split_ids(self.entry.event_ids), decode_rows(self.entry.rows)

    def _find(self, batch_id: bytes) -> StoredAnswer | None:
        return peek_batch(self._directory, batch_id) if self._directory else None
