"""A journal that cannot take a batch: 503, and the client keeps its events."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from headwater_ingest.errors import (
    JournalClosedError,
    JournalDamagedError,
    JournalError,
    JournalFullError,
    JournalShareError,
    JournalUnwritableError,
)

if TYPE_CHECKING:
    from packages.ingest.tests.http.conftest import Edge

PATH = "/var/lib/headwater/journal.db"
BATCH = {
    "batch_id": str(uuid4()),
    "events": [{"event": "Clicked", "distinct_id": "ada"}],
}


@pytest.mark.parametrize(
    "error,code,retry_after",
    [
        (JournalFullError("no room: bring ClickHouse back"), "journal_full", "5"),
        (JournalShareError("no room: bring ClickHouse back"), "journal_full", "5"),
        (JournalUnwritableError(f"{PATH} cannot be written"), "journal_full", "5"),
        (JournalDamagedError(f"{PATH} is damaged"), "journal_full", "5"),
        (JournalError(f"{PATH} is haunted"), "journal_full", "5"),
        (JournalClosedError("closing: send to another node"), "draining", "1"),
    ],
)
@pytest.mark.parametrize("is_repeat", [False, True])
def test_what_is_not_durable_is_503_and_may_be_sent_again(
    edge: Edge, error: JournalError, code: str, retry_after: str, *, is_repeat: bool
) -> None:
    if is_repeat:
        edge.post(BATCH)
    edge.journal.error = error

    answer = edge.post(BATCH)

    assert (answer.status_code, answer.json()["code"]) == (503, code)
    assert answer.headers["retry-after"] == retry_after
    assert ("connection" in answer.headers) == (code == "draining")
    assert "send" in answer.json()["message"] or "bring" in answer.json()["message"]
    assert PATH not in answer.text, "where the disk is concerns the operator"
    assert edge.counted("headwater_requests_refused_total", code=code) == 1
    assert edge.counted("headwater_events_total") == (1 if is_repeat else 0)


def test_a_batch_that_was_refused_is_taken_when_the_journal_is_back(edge: Edge) -> None:
    edge.journal.error = JournalFullError("no room")
    edge.post(BATCH)
    edge.journal.error = None

    assert edge.post(BATCH).json()["data"]["accepted"] == 1
    assert edge.post(BATCH).json()["data"]["duplicates"] == 1
    assert len(edge.rows()) == 1
