"""The buffer of web events: the journal, which remembers nothing of them.

Nobody can send a web event again, because its id is ours. So the duplicate window does
not need to know it.
"""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Protocol

from headwater_ingest.journal.counts import Count
from headwater_ingest.journal.entry import Entry, Receipt
from headwater_ingest.rows import Row, encode_row
from headwater_schema.outcomes import Outcome, Reason


class RowJournal(Protocol):
    """What the buffer needs of the journal."""

    async def append(self, entry: Entry, /) -> Receipt:
        """Returns when the entry is on disk."""

    def count(self, count: Count, /) -> None:
        """Counts events of which nothing is appended."""


class Quota(Protocol):
    """What is told of the events that a site has had accepted."""

    def count_accepted(self, site_id: int, events: int, *, now_ms: int) -> None:
        """Counts events that are on disk."""


class JournalBuffer:
    """Puts the rows of web events on disk."""

    def __init__(self, journal: RowJournal, quota: Quota) -> None:
        self._journal = journal
        self._quota = quota

    async def append(self, rows: Sequence[Row]) -> None:
        """Returns when all rows are on disk: one entry per site, in one commit.

        Raises:
            JournalError: Not all of them are.
        """
        entries = [_make_entry(each) for each in rows]
        if len(entries) == 1:
            await self._journal.append(entries[0])
        else:
            await asyncio.gather(*map(self._journal.append, entries))
        for row in rows:
            columns = row.columns
            self._quota.count_accepted(
                columns["site_id"], 1, now_ms=columns["received_at"]
            )

    def count_dropped(self, site_id: int, reason: Reason) -> None:
        """Counts an event that leaves no row; site 0 stands for none."""
        self._journal.count(Count(site_id, Outcome.DROPPED.value, reason.value, 1))


_NOT_REMEMBERED: Final = b""


@lru_cache
def _accepted(site_id: int) -> tuple[Count, ...]:
    """Returns the counts of one event that is taken, made once per site."""
    return (Count(site_id, Outcome.ACCEPTED.value, "", 1),)


def _make_entry(row: Row) -> Entry:
    site_id: int = row.columns["site_id"]
    return Entry(
        site_id=site_id,
        batch_id=_NOT_REMEMBERED,
        event_ids=row.event_id,
        rows=encode_row(row),
        row_count=1,
        answer=b"",
        ids_digest=b"",
        counts=_accepted(site_id),
    )
