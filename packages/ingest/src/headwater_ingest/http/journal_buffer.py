"""The buffer of web events: the journal, which remembers nothing of them.

Nobody can send a web event again, because its id is ours. So the duplicate window does
not need to know it.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from headwater_ingest.journal.entry import Entry, Receipt
from headwater_ingest.rows import Row, encode_row


class RowJournal(Protocol):
    """What the buffer needs of the journal."""

    async def append(self, entry: Entry, /) -> Receipt:
        """Returns when the entry is on disk."""


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


_NOT_REMEMBERED: Final = b""


def _make_entry(row: Row) -> Entry:
    return Entry(
        site_id=row.columns["site_id"],
        batch_id=_NOT_REMEMBERED,
        event_ids=row.event_id,
        rows=encode_row(row),
        row_count=1,
        answer=b"",
        ids_digest=b"",
    )
