"""The journal: takes batches, and says so only when they are on disk.

What `append` has returned for is there after any crash, once. The event loop never
waits for the disk: the commit thread owns the file, and what the loop reads is in
memory.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from headwater_ingest.clock import Clock, start_clock
from headwater_ingest.errors import (
    JournalClosedError,
    JournalFullError,
    JournalShareError,
    JournalUnwritableError,
)
from headwater_ingest.journal.accounts import Accounts
from headwater_ingest.journal.connection import Connect, connect_sqlite
from headwater_ingest.journal.counts import Count
from headwater_ingest.journal.database import FILE_NAME, explain, open_for_service
from headwater_ingest.journal.entry import Entry, JournalStatus, Receipt, StoredAnswer
from headwater_ingest.journal.group_commit import CommitThread, OnCommit
from headwater_ingest.journal.lock import SERVICE_LOCK, FileLock
from headwater_ingest.journal.store import Store
from headwater_ingest.journal.window import DuplicateWindow
from headwater_schema.outcomes import Outcome

MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
WINDOW_EVENTS: Final = 20_000_000
WINDOW_MS: Final = 24 * 3600 * 1000

_CLOSE_S: Final = 30.0


def _ignore_commit(_seconds: float, _entries: int) -> None:
    """Do nothing."""


class Journal:
    """The journal of one data directory, open in this process and in no other.

    Everything but `open` and `close` is for the event loop.
    """

    def __init__(
        self, lock: FileLock, commits: CommitThread, store: Store, *, max_bytes: int
    ) -> None:
        self._lock = lock
        self._commits = commits
        self._window = store.window
        self._shares = store.shares
        self._outcomes = store.outcomes
        self._count_sites: Callable[[], int] = lambda: 0
        self._max_bytes = max_bytes
        self._is_closed = False
        self.uuid: Final = store.read_uuid()

    @classmethod
    def open(  # noqa: PLR0913  # its parts, each named
        cls,
        directory: Path,
        *,
        max_bytes: int,
        window_events: int = WINDOW_EVENTS,
        clock: Clock | None = None,
        on_commit: OnCommit = _ignore_commit,
        connect: Connect = connect_sqlite,
    ) -> "Journal":
        """Open the journal of a directory, or make both.

        Args:
            directory: The data directory.
            max_bytes: Pending bytes from which on entries are refused.
            window_events: Most event ids that the duplicate window keeps.
            clock: Milliseconds since 1970; by default one that never steps back.
            on_commit: Is told of each group commit, in the commit thread.
            connect: Opens its file.

        Raises:
            JournalLockedError: If another process has it open.
            JournalDamagedError: If its file is damaged, foreign or too new.
            JournalUnwritableError: If nothing can be written there.
        """
        _make(directory)
        path = directory / FILE_NAME
        lock = FileLock(directory / SERVICE_LOCK)
        try:
            store = _open_store(path, window_events, connect)
            commits = CommitThread(
                store, path=path, clock=clock or start_clock(), on_commit=on_commit
            )
            journal = cls(lock, commits, store, max_bytes=max_bytes)
        except BaseException:
            lock.close()
            raise
        commits.start()
        return journal

    def divide_among(self, count_sites: Callable[[], int]) -> None:
        """Keep some room for sites that hold nothing yet.

        Args:
            count_sites: Says how many sites there are.
        """
        self._count_sites = count_sites

    async def append(self, entry: Entry) -> Receipt:
        """Put an entry on disk.

        Cancelling the wait does not take the entry back.

        Returns:
            What of it was stored. A batch or an event that was taken before, also by a
            call that is still under way, is not stored again.

        Raises:
            JournalFullError: If there is no room; nothing was taken.
            JournalShareError: If there is none for this site; nothing was taken.
            JournalUnwritableError: If the disk refuses.
            JournalClosedError: If the journal is closing; nothing was taken.
        """
        return await self.submit(entry)

    def submit(self, entry: Entry) -> asyncio.Future[Receipt]:
        """Put an entry on its way to the disk; `append` says what comes of it.

        Raises:
            JournalError: Nothing was taken.
        """
        self._admit(entry)
        return self._commits.append(entry)

    @property
    def seen_through(self) -> int:
        """The latest row of `seen`, all of which a look that follows knows."""
        return self._window.through

    def seen_batch(self, batch_id: bytes) -> bool:
        """Return whether a batch was taken within the window."""
        return self._window.find_batch(batch_id) is not None

    def seen_events(self, ids: Sequence[bytes]) -> set[bytes]:
        """Return those of the event ids that were taken within the window."""
        return self._window.find_events(ids)

    async def stored_answer(self, batch_id: bytes) -> StoredAnswer | None:
        """Return what is stored for a batch, or None when it is not in the window.

        Raises:
            JournalUnwritableError: If the disk cannot be read.
            JournalClosedError: If the journal is closing.
        """
        self._refuse_closed()
        return await self._commits.look(lambda store: store.read_answer(batch_id))

    def count(self, count: Count) -> None:
        """Count events that leave no rows here, such as drops.

        It rides in the next commit, at the latest after a second; a kill before that
        loses it.
        """
        self._commits.count(count)

    async def flush_counts(self) -> None:
        """Return when all that was counted is on disk.

        Raises:
            JournalUnwritableError: If the disk refuses; it is then tried again.
            JournalClosedError: If the journal is closing.
        """
        self._refuse_closed()
        await self._commits.flush_counts()

    def status(self) -> JournalStatus:
        """Return how the journal was after the last commit, or a moment ago."""
        backlog = self._commits.backlog
        return JournalStatus(
            rows_pending=backlog.rows,
            bytes_pending=backlog.bytes,
            oldest_pending_at_ms=backlog.oldest_at_ms,
            full=backlog.bytes >= self._max_bytes,
            writable=self._commits.problem is None,
            window_events=self._window.events,
            window_from_ms=self._window.from_ms,
        )

    def accounts(self) -> Accounts:
        """Return what has become of events by now, and of rows by a second ago."""
        outcomes, fates = self._outcomes.read(), self._commits.fates
        pending: Counter[int] = Counter()
        for (site_id, outcome, _), events in outcomes.items():
            if outcome == Outcome.ACCEPTED:
                pending[site_id] += events
        for (site_id, _, _), events in fates.items():
            pending[site_id] -= events
        return Accounts(outcomes + fates, pending)

    async def refresh(self) -> JournalStatus:
        """Return how the journal is now, after looking into the file.

        Raises:
            JournalUnwritableError: If the disk cannot be read.
            JournalClosedError: If the journal is closing.
        """
        self._refuse_closed()
        await self._commits.look(Store.read_backlog)
        return self.status()

    def close(self) -> None:
        """Commit what is queued, and close. Blocks; call it off the loop.

        Raises:
            JournalUnwritableError: If the disk does not finish within half a minute.
        """
        if self._is_closed:
            return
        self._is_closed = True
        if not self._commits.stop(_CLOSE_S):
            raise JournalUnwritableError(
                "the disk does not finish the last commit: what was acknowledged is "
                "safe, the process can be killed"
            )
        self._lock.close()

    def _refuse_closed(self) -> None:
        if self._is_closed:
            raise JournalClosedError("the journal is closing: send to another node")

    def _admit(self, entry: Entry) -> None:
        self._refuse_closed()
        if self._commits.problem is not None:
            raise JournalUnwritableError(str(self._commits.problem))
        waiting = self._commits.waiting_bytes
        if waiting >= MAX_WAITING_BYTES:
            raise JournalFullError("too much waits for the disk: try again in a second")
        used = self._commits.backlog.bytes + waiting
        if used >= self._max_bytes:
            raise JournalFullError(
                f"the journal holds {self._max_bytes} bytes that are not in ClickHouse "
                "yet: bring ClickHouse back, or raise HEADWATER_JOURNAL_MAX_BYTES"
            )
        if used >= self._max_bytes // 2:
            for site_id in entry.sites:
                self._admit_site(site_id)

    def _admit_site(self, site_id: int) -> None:
        share = self._shares.fair_share(
            site_id, room=self._max_bytes, known_sites=self._count_sites()
        )
        # Alone, a site may have it all; what it holds is told a little too high.
        if self._shares.held_by(site_id) >= share < self._max_bytes:
            raise JournalShareError(
                f"the journal is more than half full, and {share} bytes of it, the "
                "share of this site, are used up: bring ClickHouse back, or raise "
                "HEADWATER_JOURNAL_MAX_BYTES"
            )


def _make(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise JournalUnwritableError(
            f"{directory} is a file: set HEADWATER_DATA_DIR to a directory"
        ) from error
    except OSError as error:
        raise JournalUnwritableError(
            f"the directory {directory} cannot be made ({error.strerror}): make it "
            "yourself, or set HEADWATER_DATA_DIR to another one"
        ) from error


def _open_store(path: Path, window_events: int, connect: Connect) -> Store:
    window = DuplicateWindow(max_events=window_events, max_age_ms=WINDOW_MS)
    connection = open_for_service(path.parent, connect=connect)
    try:
        return Store(connection, window)
    except sqlite3.Error as error:
        connection.close()
        raise explain(error, path) from error
