"""What goes into the journal and what comes back: values, nothing that acts.

An `Entry` is bytes and numbers only. It waits for the disk while the loop handles other
requests, and decoded events that stay alive over that wait cost 5 µs per event.
"""

from dataclasses import dataclass
from struct import unpack

import msgspec

from headwater_ingest.journal.answers import count_all_as_duplicates
from headwater_ingest.journal.counts import Count

ID_BYTES = 16


def split_ids(ids: bytes) -> tuple[bytes, ...]:
    """Return the ids in a concatenation of 16-byte ids."""
    return unpack("16s" * (len(ids) // ID_BYTES), ids)


class Entry(msgspec.Struct, frozen=True):
    """One batch, ready for the disk.

    Attributes:
        site_id: The site that sent it; of rows that are not remembered and have several
            sites, one of these.
        batch_id: 16 bytes, the same on every retry; empty for rows that nobody can
            send again, because their ids are ours. Those are not remembered.
        event_ids: The ids of the rows, 16 bytes each, in the order of the rows.
        rows: What `encode_rows` made of the rows; empty when there are none.
        row_count: How many rows that are.
        answer: The answer to the batch, a `BatchResult` as JSON.
        ids_digest: Digest of all event ids of the batch as it was sent.
        counts: What becomes of its events, unless some are known by then. Of rows that
            are not remembered: how many each site has.
        seen_through: `Journal.seen_through` from before its ids were looked for and not
            found; 0 if the commit is to look for all of them.
    """

    site_id: int
    batch_id: bytes
    event_ids: bytes
    rows: bytes
    row_count: int
    answer: bytes
    ids_digest: bytes
    counts: tuple[Count, ...] = ()
    seen_through: int = 0

    def __post_init__(self) -> None:
        if len(self.event_ids) != ID_BYTES * self.row_count:
            raise ValueError("an entry has one event id of 16 bytes per row")

    @property
    def sites(self) -> tuple[int, ...]:
        """The sites of its rows."""
        if self.batch_id:
            return (self.site_id,)
        return tuple([count.site_id for count in self.counts])

    @property
    def size(self) -> int:
        """Bytes that the entry holds while it waits."""
        return len(self.rows) + len(self.event_ids) + len(self.answer)


class StoredAnswer(msgspec.Struct, frozen=True):
    """What the journal remembers of a batch that it has taken.

    Attributes:
        ids_digest: Digest of the event ids that the batch had.
        answer: The answer that it got, a `BatchResult` as JSON.
    """

    ids_digest: bytes
    answer: bytes

    def for_repeat(self) -> bytes:
        """Return the answer to a repeat: what was accepted then is a duplicate now."""
        return count_all_as_duplicates(self.answer)


@dataclass(frozen=True, slots=True)
class Committed:
    """All rows of the entry are on disk; its answer holds."""


@dataclass(frozen=True, slots=True)
class PartlyRepeated:
    """Some events were taken meanwhile from another batch; the others are on disk.

    Attributes:
        answer: The entry's answer with those events counted as duplicates.
    """

    answer: bytes


@dataclass(frozen=True, slots=True)
class Repeated:
    """The same batch was taken meanwhile, so nothing of this copy is stored.

    Attributes:
        stored: What is known of the copy that was taken.
    """

    stored: StoredAnswer


Receipt = Committed | PartlyRepeated | Repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalStatus:
    """The journal at one moment.

    Attributes:
        rows_pending: Rows that are not in ClickHouse yet.
        bytes_pending: Bytes that these rows take.
        oldest_pending_at_ms: When the oldest of them was taken; None without any.
        full: Whether entries are refused for lack of room.
        writable: Whether the disk took the last commit.
        window_events: Event ids in the duplicate window.
        window_from_ms: Since when the window is complete; None while it is empty.
    """

    rows_pending: int
    bytes_pending: int
    oldest_pending_at_ms: int | None
    full: bool
    writable: bool
    window_events: int
    window_from_ms: int | None
