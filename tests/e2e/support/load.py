"""Traffic that goes on while something is broken."""

import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.e2e.support.clickhouse import Database
from tests.e2e.support.ledger import Ledger
from tests.e2e.support.waiting import wait_for

from headwater import Client

SETTLED_S = 40

_PAUSE_S = 0.002

_QUEUED_MOST = 2_000
"""Fewer than a client keeps: what is broken stays so for longer on a busy machine."""


class Load:
    """Captures numbered events on a thread of its own, some hundreds per second.

    It waits when so many are queued that the client might lose some.
    """

    def __init__(self, client: Client, ledger: Ledger) -> None:
        self._client = client
        self._ledger = ledger
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def wait_for_acknowledged(self, more: int) -> None:
        """Returns when as many further events have been acknowledged."""
        goal = len(self._ledger.acknowledged) + more
        wait_for(
            lambda: len(self._ledger.acknowledged) >= goal,
            what=f"{more} more events to be acknowledged",
            timeout_s=SETTLED_S,
        )

    def wait_for_sent(self, more: int) -> None:
        """Returns when as many further events have been captured."""
        goal = len(self._ledger.sent) + more
        wait_for(lambda: len(self._ledger.sent) >= goal, what=f"{more} more captures")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_PAUSE_S):
            if self._client.stats().queued < _QUEUED_MOST:
                capture_numbered(self._client, self._ledger, count=1)


def capture_numbered(client: Client, ledger: Ledger, *, count: int) -> None:
    """Captures events that carry their number in the order of the ledger."""
    for number in range(len(ledger.sent), len(ledger.sent) + count):
        person = f"user-{number % 7}"
        ledger.note(client.capture(person, "numbered", {"number": number}))


def settle(client: Client, ledger: Ledger, database: Database) -> None:
    """Delivers what is queued, and asserts that each event is stored once."""
    assert client.flush(timeout=SETTLED_S).queued == 0
    with suppress(AssertionError):  # the check tells which are missing
        database.wait_for_rows(len(ledger.sent), timeout_s=SETTLED_S)
    ledger.check_all_stored(database.stored_ids())
    assert client.stats().lost == {}
