import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
import uuid_utils

from headwater_ingest.errors import JournalShareError
from headwater_ingest.http.journal_buffer import MOST_WAITING_ROWS, JournalBuffer
from headwater_ingest.journal.counts import Count
from headwater_ingest.journal.entry import Committed, Entry, Receipt, split_ids
from headwater_ingest.rows import Row, decode_rows

REFUSED_SITE = 9


@pytest.fixture(autouse=True)
def _wait_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has rows wait as long as others come, also if the machine stalls meanwhile."""
    monkeypatch.setattr("headwater_ingest.http.journal_buffer._GATHER_S", 3600.0)


class SlowJournal:
    """Has an entry on disk when it is told to; refuses those of one site."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.disk = asyncio.Event()

    async def append(self, entry: Entry, /) -> Receipt:
        self.entries.append(entry)
        await self.disk.wait()
        if REFUSED_SITE in entry.sites:
            raise JournalShareError("the share of this site is used up")
        return Committed()

    def count(self, count: Count, /) -> None: ...

    @property
    def row_counts(self) -> list[int]:
        return [entry.row_count for entry in self.entries]


class Quota:
    def __init__(self) -> None:
        self.accepted: Counter[int] = Counter()
        self.is_broken = False

    def count_accepted(self, counts: Sequence[Count], *, now_ms: int) -> None:
        if self.is_broken:
            raise RuntimeError("it does not count")
        for each in counts:
            self.accepted[each.site_id] += each.events


class Edge:
    """A buffer before a journal, and requests that wait for it."""

    def __init__(self) -> None:
        self.journal = SlowJournal()
        self.quota = Quota()
        self.buffer = JournalBuffer(self.journal, self.quota.count_accepted)

    def send(self, *site_ids: int) -> asyncio.Task[None]:
        """Begins a request with a row for each of these sites."""
        return asyncio.create_task(self._append(*site_ids))

    async def _append(self, *site_ids: int) -> None:
        told: asyncio.Future[Exception | None] = asyncio.Future()
        rows = [make_row(each) for each in site_ids]
        self.buffer.put(rows, told.set_result)  # which raises if it was cancelled
        if error := await told:
            raise error


def make_row(site_id: int) -> Row:
    return Row(uuid_utils.uuid7().bytes, {"site_id": site_id, "received_at": 1})


def on_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    return lambda: asyncio.run(test())


async def turn_loop() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@on_loop
async def test_a_lone_row_does_not_wait_for_others() -> None:
    edge = Edge()
    request = edge.send(7)
    await turn_loop()
    assert edge.journal.row_counts == [1]
    edge.journal.disk.set()
    await request


@on_loop
async def test_rows_that_come_turn_by_turn_go_together() -> None:
    edge = Edge()
    edge.journal.disk.set()
    requests = []
    for _ in range(4):
        requests.append(edge.send(7))
        await asyncio.sleep(0)
    await asyncio.gather(*requests)
    assert edge.journal.row_counts == [4]


@on_loop
async def test_rows_of_requests_that_came_last_turn_are_waited_for() -> None:
    edge = Edge()
    edge.journal.disk.set()
    requests = [edge.send(7)]
    for _ in range(3):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        requests.append(edge.send(7))
    await asyncio.gather(*requests)
    assert edge.journal.row_counts == [4]


@on_loop
async def test_rows_that_come_during_a_commit_go_together_after_it() -> None:
    edge = Edge()
    requests = [edge.send(7)]
    await turn_loop()
    requests += [edge.send(7) for _ in range(5)]
    await turn_loop()
    assert edge.journal.row_counts == [1]
    edge.journal.disk.set()
    await asyncio.gather(*requests)
    assert edge.journal.row_counts == [1, 5]


@on_loop
async def test_no_request_is_answered_before_its_row_is_on_disk() -> None:
    edge = Edge()
    requests = [edge.send(7), edge.send(7)]
    await turn_loop()
    assert edge.journal.row_counts == [2]
    assert not any(request.done() for request in requests)
    edge.journal.disk.set()
    await asyncio.gather(*requests)


@on_loop
async def test_an_entry_says_what_it_holds() -> None:
    edge = Edge()
    edge.journal.disk.set()
    await asyncio.gather(edge.send(7), edge.send(7))
    (entry,) = edge.journal.entries
    ids = decode_rows(entry.rows).event_id
    assert list(split_ids(entry.event_ids)) == ids
    assert entry.counts == (Count(7, "accepted", "", 2),)
    assert not entry.batch_id
    assert edge.quota.accepted == {7: 2}


@on_loop
async def test_rows_of_several_sites_go_together() -> None:
    edge = Edge()
    edge.journal.disk.set()
    await asyncio.gather(edge.send(7), edge.send(8), edge.send(7, 8))
    (entry,) = edge.journal.entries
    assert entry.row_count == 4
    assert set(entry.counts) == {Count(site, "accepted", "", 2) for site in (7, 8)}
    assert set(entry.sites) == {7, 8}
    assert edge.quota.accepted == {7: 2, 8: 2}


@on_loop
async def test_only_the_site_that_has_used_up_its_share_is_refused() -> None:
    edge = Edge()
    edge.journal.disk.set()
    good, bad, both = edge.send(7), edge.send(REFUSED_SITE), edge.send(7, REFUSED_SITE)
    await good
    for refused in (bad, both):
        with pytest.raises(JournalShareError):
            await refused
    assert edge.quota.accepted == {7: 2}


@on_loop
async def test_a_row_that_cannot_be_encoded_hurts_no_other_site_and_nothing_later() -> (
    None
):
    edge = Edge()
    edge.journal.disk.set()
    told: asyncio.Future[Exception | None] = asyncio.Future()
    bad = Row(uuid_utils.uuid7().bytes, {"site_id": 8, "received_at": 1, "name": {...}})
    good = edge.send(7)
    await asyncio.sleep(0)
    edge.buffer.put([bad], told.set_result)
    await good
    assert isinstance(await told, TypeError)
    await edge.send(8)
    assert edge.quota.accepted == {7: 1, 8: 1}


@on_loop
async def test_a_refusal_does_not_stop_what_comes_next() -> None:
    edge = Edge()
    edge.journal.disk.set()
    with pytest.raises(JournalShareError):
        await edge.send(REFUSED_SITE)
    await edge.send(7)
    assert edge.quota.accepted == {7: 1}


@on_loop
async def test_rows_on_disk_are_answered_even_if_they_cannot_be_counted() -> None:
    edge = Edge()
    edge.journal.disk.set()
    edge.quota.is_broken = True
    await edge.send(7)
    edge.quota.is_broken = False
    await edge.send(7)
    assert edge.quota.accepted == {7: 1}


@on_loop
async def test_a_client_that_hangs_up_takes_nothing_from_the_others() -> None:
    edge = Edge()
    gone, stays = edge.send(7), edge.send(7)
    await turn_loop()
    gone.cancel()
    await turn_loop()
    edge.journal.disk.set()
    await stays
    assert gone.cancelled()
    assert edge.quota.accepted == {7: 2}


@on_loop
async def test_very_many_rows_do_not_wait_for_the_commit_under_way() -> None:
    edge = Edge()
    first = edge.send(7)
    await turn_loop()
    many = edge.send(*[7] * MOST_WAITING_ROWS)
    await turn_loop()
    assert edge.journal.row_counts == [1, MOST_WAITING_ROWS]
    edge.journal.disk.set()
    await asyncio.gather(first, many)


@on_loop
async def test_a_row_that_comes_as_a_commit_ends_is_not_forgotten() -> None:
    edge = Edge()
    edge.journal.disk.set()
    first = edge.send(7)
    first.add_done_callback(lambda _: late.append(edge.send(7)))
    late: list[asyncio.Task[None]] = []
    await first
    await turn_loop()
    async with asyncio.timeout(5):
        await late[0]
