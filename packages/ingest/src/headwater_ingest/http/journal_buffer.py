"""The buffer of web events: the journal, which remembers nothing of them.

Nobody can send a web event again, because its id is ours. So the duplicate window does
not need to know it.

A request brings one row, and a row for itself is dear: to journal, disk and writer. So
rows that come while others are on their way to the disk wait for these, as they would
in the journal's queue, and go together then, in one entry for all sites. They also wait
for those that arrive while the loop is busy anyway: a commit beside a busy loop takes
four times as long as one for which the loop waits, since both want the GIL. Each
request is answered when its own rows are on disk.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

import structlog

from headwater_ingest.errors import JournalError, JournalShareError
from headwater_ingest.journal.counts import Count
from headwater_ingest.journal.entry import Entry, Receipt
from headwater_ingest.pipeline.web.columns import gather_rows
from headwater_ingest.rows import Row
from headwater_schema.outcomes import Outcome, Reason

MOST_WAITING_ROWS: Final = 1000
"""So many rows go to the journal, whatever is under way: it bounds what waits."""

_GATHER_S: Final = 0.002
"""How long a row waits at most for others, while none is under way."""

_NOT_REMEMBERED: Final = b""
_ACCEPTED: Final = Outcome.ACCEPTED.value

_log = structlog.stdlib.get_logger(__name__)


class RowJournal(Protocol):
    """What the buffer needs of the journal."""

    async def append(self, entry: Entry, /) -> Receipt:
        """Returns when the entry is on disk."""

    def count(self, count: Count, /) -> None:
        """Counts events of which nothing is appended."""


class CountAccepted(Protocol):
    """Counts events that sites have had accepted."""

    def __call__(self, counts: Sequence[Count], /, *, now_ms: int) -> object:
        """Counts events that are on disk."""


Done = Callable[[Exception | None], object]
"""Is told that rows are on disk, or why they are not."""


class _Waiting(NamedTuple):
    """A row, and who is told what becomes of it."""

    row: Row
    done: Done


class _Several:
    """Waits for some rows in the place of who is to be told of all of them."""

    def __init__(self, count: int, done: Done) -> None:
        self._left = count
        self._done = done
        self._error: Exception | None = None

    def note(self, error: Exception | None) -> None:
        """Takes note of one row."""
        self._left -= 1
        self._error = self._error or error
        if not self._left:
            self._done(self._error)


class JournalBuffer:
    """Puts the rows of web events on disk. Owned by the loop."""

    def __init__(self, journal: RowJournal, count_accepted: CountAccepted) -> None:
        """Begins empty.

        Args:
            journal: Where rows go.
            count_accepted: Is told of rows that are on disk.
        """
        self._journal = journal
        self._count_accepted = count_accepted
        self._waiting: list[_Waiting] = []
        self._commits: set[asyncio.Task[None]] = set()
        self._under_way = 0

    def put(self, rows: Sequence[Row], done: Done) -> None:
        """Takes rows, one or more, and says when all of them are on disk."""
        if len(rows) > 1:
            done = _Several(len(rows), done).note
        for row in rows:
            self._put(row, done)

    def count_dropped(self, site_id: int, reason: Reason) -> None:
        """Counts an event that leaves no row; site 0 stands for none."""
        self._journal.count(Count(site_id, Outcome.DROPPED.value, reason.value, 1))

    def _put(self, row: Row, done: Done) -> None:
        self._waiting.append(_Waiting(row, done))
        if not self._under_way or len(self._waiting) == MOST_WAITING_ROWS:
            self._under_way += 1
            commit = asyncio.create_task(self._commit_waiting())
            self._commits.add(commit)
            commit.add_done_callback(self._commits.discard)

    async def _commit_waiting(self) -> None:
        while self._waiting:
            await self._gather()
            waiting, self._waiting = self._waiting, []
            await self._commit(waiting)
        self._under_way -= 1

    async def _gather(self) -> None:
        """Lets more rows come while the loop brings some.

        Requests of one turn are taken in the next: hence two.
        """
        now = asyncio.get_running_loop().time
        ends_at, count = now() + _GATHER_S, 0
        while count < len(self._waiting) < MOST_WAITING_ROWS and now() < ends_at:
            count = len(self._waiting)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def _commit(self, waiting: Sequence[_Waiting]) -> None:
        rows = [each.row for each in waiting]
        error = await self._append(rows)
        if error and _is_of_one_site(error) and len(_count_by_site(rows)) > 1:
            await asyncio.gather(*map(self._commit, _divide_by_site(waiting)))
            return
        for _, done in waiting:
            try:
                done(error)
            except Exception:  # noqa: BLE001 - the others are told all the same
                _log.exception("answer failed")

    async def _append(self, rows: Sequence[Row]) -> Exception | None:
        """Puts rows on disk, or returns why none of them is there."""
        try:
            entry = _make_entry(rows)
            await self._journal.append(entry)
        except Exception as error:  # noqa: BLE001 - each request is told, and goes on
            return error
        self._count(entry, rows[-1].columns["received_at"])
        return None

    def _count(self, entry: Entry, now_ms: int) -> None:
        try:
            self._count_accepted(entry.counts, now_ms=now_ms)
        except Exception:  # noqa: BLE001 - the rows are on disk, which is what counts
            _log.exception("accepted events not counted", events=entry.row_count)


def _is_of_one_site(error: Exception) -> bool:
    """Whether rows of other sites may do: a share is used up, or a row is no good."""
    return isinstance(error, JournalShareError) or not isinstance(error, JournalError)


def _make_entry(rows: Sequence[Row]) -> Entry:
    counts = _count_by_site(rows).items()
    return Entry(
        site_id=rows[0].columns["site_id"],
        batch_id=_NOT_REMEMBERED,
        event_ids=b"".join([row.event_id for row in rows]),
        rows=gather_rows(rows),
        row_count=len(rows),
        answer=b"",
        ids_digest=b"",
        counts=tuple([Count(site, _ACCEPTED, "", events) for site, events in counts]),
    )


def _count_by_site(rows: Iterable[Row]) -> Counter[int]:
    return Counter([row.columns["site_id"] for row in rows])


def _divide_by_site(waiting: Iterable[_Waiting]) -> Iterable[list[_Waiting]]:
    sites: dict[int, list[_Waiting]] = {}
    for each in waiting:
        sites.setdefault(each.row.columns["site_id"], []).append(each)
    return sites.values()
