"""Makes one group commit out of entries: the last word on what is a duplicate.

Copies of a batch may be handled side by side, each having found its ids unknown. Here
they come one after the other: the same batch is answered with the stored answer, and
events that another batch brought meanwhile are taken out of the rows.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from headwater_ingest.journal.accounts import Held, encode_sites
from headwater_ingest.journal.answers import count_as_duplicates
from headwater_ingest.journal.counts import (
    Count,
    Key,
    encode_counts,
    list_counts,
    tally_as_repeat,
    tally_with_repeats,
)
from headwater_ingest.journal.entry import (
    Committed,
    Entry,
    PartlyRepeated,
    Receipt,
    Repeated,
    StoredAnswer,
    split_ids,
)
from headwater_ingest.journal.window import DuplicateWindow
from headwater_ingest.rows import decode_rows, encode_rows, keep_rows

_COMMITTED = Committed()
_encode = msgspec.msgpack.Encoder().encode


@dataclass(slots=True)
class Group:
    """What one group commit writes.

    Attributes:
        blobs: The rows of each entry that has any.
        row_count: Rows in all of them.
        event_ids: The ids of these rows.
        answers: For each batch that was taken, what a repeat of it must be told.
        counts: What became of events.
        sites: Whose the rows are.
    """

    blobs: list[bytes] = field(default_factory=list)
    row_count: int = 0
    event_ids: set[bytes] = field(default_factory=set)
    answers: dict[bytes, StoredAnswer] = field(default_factory=dict)
    counts: list[Count] = field(default_factory=list)
    sites: list[Held] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.row_count or self.answers or self.counts)

    def encode_body(self) -> bytes:
        """Return the body of the chunk; empty without rows."""
        return _encode(self.blobs) if self.row_count else b""

    def encode_counts(self) -> bytes:
        """Return the counts of the chunk; empty without any."""
        return encode_counts(self.counts)

    def encode_sites(self) -> bytes:
        """Return whose rows the chunk holds."""
        return encode_sites(self.sites)

    def encode_answers(self) -> bytes:
        """Return the answers in the order of their batch ids."""
        return _encode(
            [(each.ids_digest, each.answer) for each in self.answers.values()]
        )


class GroupBuilder:
    """Takes the entries of one group in the order in which they came."""

    def __init__(
        self,
        window: DuplicateWindow,
        read_answer: Callable[[bytes], StoredAnswer | None],
        counts: Mapping[Key, int],
    ) -> None:
        """Begin a group without rows.

        Args:
            window: What earlier groups have taken.
            read_answer: Finds the answer that an earlier group stored for a batch.
            counts: Events that leave no rows.
        """
        self._window = window
        self._read_answer = read_answer
        self._group = Group()
        # Of batches, of which a group may have thousands of one site. Entries that are
        # not remembered come one or a few at a time, and have been added up.
        self._sums = dict(counts)
        self._held: dict[int, tuple[int, int]] = {}

    def add(self, entry: Entry) -> Receipt:
        """Take what is new in an entry, and say what that is."""
        if not entry.batch_id:
            self._take_unremembered(entry)
            return _COMMITTED
        stored = self._find_answer(entry.batch_id)
        if stored is not None and stored.ids_digest == entry.ids_digest:
            self._count(list_counts(tally_as_repeat(entry.counts)))
            return Repeated(stored)
        ids = split_ids(entry.event_ids)
        fresh = set(ids)
        if len(fresh) == len(ids) and not self._find_taken(fresh, entry.seen_through):
            self._take(entry, fresh, rows=entry.rows, answer=entry.answer)
            self._count(entry.counts)
            return _COMMITTED
        return self._add_in_part(entry, ids)

    def finish(self) -> Group:
        """Return the group; nothing can be added to it any more."""
        self._group.counts += list_counts(self._sums)
        self._group.sites += [(site, *held) for site, held in self._held.items()]
        return self._group

    def _add_in_part(self, entry: Entry, ids: Sequence[bytes]) -> Receipt:
        kept = _find_first(ids, self._find_taken(set(ids), entry.seen_through))
        repeated = len(ids) - len(kept)
        answer = count_as_duplicates(entry.answer, repeated)
        self._count(list_counts(tally_with_repeats(entry.counts, repeated)))
        rows = encode_rows(keep_rows(decode_rows(entry.rows), kept)) if kept else b""
        self._take(entry, {ids[index] for index in kept}, rows=rows, answer=answer)
        return PartlyRepeated(answer)

    def _take(
        self, entry: Entry, ids: set[bytes], *, rows: bytes, answer: bytes
    ) -> None:
        if ids:
            self._take_rows(entry.site_id, rows, count=len(ids))
            self._group.event_ids |= ids
        self._group.answers[entry.batch_id] = StoredAnswer(entry.ids_digest, answer)

    def _take_unremembered(self, entry: Entry) -> None:
        """Take rows of any number of sites; each holds its share of their bytes."""
        group, size = self._group, len(entry.rows) / entry.row_count
        group.blobs.append(entry.rows)
        group.row_count += entry.row_count
        group.counts += entry.counts
        group.sites += [
            (site_id, rows, round(size * rows)) for site_id, _, _, rows in entry.counts
        ]

    def _take_rows(self, site_id: int, rows: bytes, *, count: int) -> None:
        self._group.blobs.append(rows)
        self._group.row_count += count
        held_rows, held_bytes = self._held.get(site_id, (0, 0))
        self._held[site_id] = held_rows + count, held_bytes + len(rows)

    def _count(self, counts: Iterable[Count]) -> None:
        for site_id, outcome, reason, events in counts:
            key = (site_id, outcome, reason)
            self._sums[key] = self._sums.get(key, 0) + events

    def _find_answer(self, batch_id: bytes) -> StoredAnswer | None:
        return self._group.answers.get(batch_id) or self._read_answer(batch_id)

    def _find_taken(self, ids: set[bytes], seen_through: int) -> set[bytes]:
        taken = self._window.find_events_since(ids, seen_through)
        return taken | (self._group.event_ids & ids)


def _find_first(ids: Sequence[bytes], taken: set[bytes]) -> list[int]:
    """Return where each id that is not taken stands for the first time."""
    kept: dict[bytes, int] = {}
    for index, event_id in enumerate(ids):
        if event_id not in taken:
            kept.setdefault(event_id, index)
    return list(kept.values())
