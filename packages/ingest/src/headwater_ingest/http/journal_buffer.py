"""The buffer of web events: the journal, which remembers nothing of them.

Nobody can send a web event again, because its id is ours. So the duplicate window does
not need to know it.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from headwater_ingest.journal.entry import Entry, Receipt
from headwater_ingest.rows import Rows, encode_rows


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

    def __init__(
        self,
        journal: RowJournal,
        quota: Quota,
        *,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._journal = journal
        self._quota = quota
        self._clock = clock

    async def append(self, rows: Sequence[Rows]) -> None:
        """Returns when all rows are on disk: one entry per site, in one commit.

        Raises:
            JournalError: Not all of them are.
        """
        entries = [_make_entry(each) for each in rows]
        if len(entries) == 1:
            await self._journal.append(entries[0])
        else:
            await asyncio.gather(*map(self._journal.append, entries))
        now_ms = self._clock()
        for entry in entries:
            self._quota.count_accepted(entry.site_id, entry.row_count, now_ms=now_ms)


_NOT_REMEMBERED: Final = b""


def _make_entry(rows: Rows) -> Entry:
    return Entry(
        site_id=rows.constants["site_id"],
        batch_id=_NOT_REMEMBERED,
        event_ids=b"".join(each.bytes for each in rows.event_id),
        rows=encode_rows(rows),
        row_count=len(rows.event_id),
        answer=b"",
        ids_digest=b"",
    )
