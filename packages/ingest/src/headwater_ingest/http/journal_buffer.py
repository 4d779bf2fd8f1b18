"""The buffer of web events: the journal, which remembers nothing of them.

Nobody can send a web event again, because its id is ours. So the duplicate window does
not need to know it.

A request brings one row, and a row for itself is dear: to journal, disk and writer. So
rows that come while others are on their way to the disk wait for these, as they would
in the journal's queue, and go together then: one entry per site. Each request is
answered when its own rows are on disk.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from headwater_ingest.journal.counts import Count
from headwater_ingest.journal.entry import Entry, Receipt
from headwater_ingest.pipeline.web.columns import gather_rows
from headwater_ingest.rows import Row
from headwater_schema.outcomes import Outcome, Reason

MOST_WAITING_ROWS: Final = 1000
"""So many rows go to the journal, whatever is under way: it bounds what waits."""

_NOT_REMEMBERED: Final = b""


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


class _Waiting(NamedTuple):
    """A row, and what its request waits for."""

    row: Row
    stored: "asyncio.Future[None]"


class JournalBuffer:
    """Puts the rows of web events on disk. Owned by the loop."""

    def __init__(self, journal: RowJournal, quota: Quota) -> None:
        self._journal = journal
        self._quota = quota
        self._waiting: list[_Waiting] = []
        self._commits: set[asyncio.Task[None]] = set()
        self._under_way = 0

    async def append(self, rows: Sequence[Row]) -> None:
        """Returns when all rows are on disk.

        Cancelling the wait does not take them back.

        Raises:
            JournalError: Not all of them are.
        """
        if len(rows) == 1:
            await self._put(rows[0])
        else:
            await asyncio.gather(*map(self._put, rows))

    def count_dropped(self, site_id: int, reason: Reason) -> None:
        """Counts an event that leaves no row; site 0 stands for none."""
        self._journal.count(Count(site_id, Outcome.DROPPED.value, reason.value, 1))

    def _put(self, row: Row) -> "asyncio.Future[None]":
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(row, stored))
        if not self._under_way or len(self._waiting) == MOST_WAITING_ROWS:
            self._under_way += 1
            commit = asyncio.create_task(self._commit_waiting())
            self._commits.add(commit)
            commit.add_done_callback(self._commits.discard)
        return stored

    async def _commit_waiting(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            sites: dict[int, list[_Waiting]] = {}
            for each in waiting:
                sites.setdefault(each.row.columns["site_id"], []).append(each)
            commits = [self._commit(*each) for each in sites.items()]
            if len(commits) == 1:
                await commits[0]
            else:
                await asyncio.gather(*commits)
        self._under_way -= 1

    async def _commit(self, site_id: int, waiting: Sequence[_Waiting]) -> None:
        entry = _make_entry(site_id, [each.row for each in waiting])
        try:
            await self._journal.append(entry)
        except Exception as error:  # noqa: BLE001 - each request is told, and goes on
            for each in waiting:
                if not each.stored.done():
                    each.stored.set_exception(error)
            return
        for row, stored in waiting:
            now_ms = row.columns["received_at"]
            self._quota.count_accepted(site_id, 1, now_ms=now_ms)
            if not stored.done():  # cancelled: who asked has gone
                stored.set_result(None)


def _make_entry(site_id: int, rows: Sequence[Row]) -> Entry:
    return Entry(
        site_id=site_id,
        batch_id=_NOT_REMEMBERED,
        event_ids=b"".join(row.event_id for row in rows),
        rows=gather_rows(rows),
        row_count=len(rows),
        answer=b"",
        ids_digest=b"",
        counts=(Count(site_id, Outcome.ACCEPTED.value, "", len(rows)),),
    )
