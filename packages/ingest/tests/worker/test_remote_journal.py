"""The journal from the side of a worker: what it promises, it promises through it."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, closing, contextmanager
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.joined_worker import join, make_desk

from headwater_ingest import errors
from headwater_ingest.errors import (
    JournalClosedError,
    JournalError,
    JournalFullError,
    OwnerGoneError,
)
from headwater_ingest.journal import (
    Count,
    Entry,
    Journal,
    JournalReader,
    Receipt,
    StoredAnswer,
)
from headwater_ingest.journal.accounts import Accounts
from headwater_ingest.rows import Rows, decode_rows, encode_rows
from headwater_ingest.worker import remote_journal
from headwater_ingest.worker.remote_journal import RemoteJournal, to_answer, to_error
from headwater_schema.batch import BatchResult

APPENDS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.integers(0, 4),
        st.lists(st.integers(0, 9), max_size=4, unique=True),
    ),
    max_size=12,
)
Appends = list[tuple[int, int, list[int]]]


def make_entry(batch: int, events: Sequence[int]) -> Entry:
    ids = [UUID(int=each) for each in events]
    joined = b"".join(each.bytes for each in ids)
    return Entry(
        site_id=1,
        batch_id=UUID(int=batch).bytes,
        event_ids=joined,
        rows=encode_rows(
            Rows([each.bytes for each in ids], {}, {"scroll_depth": list(events)})
        )
        if ids
        else b"",
        row_count=len(ids),
        answer=msgspec.json.encode(BatchResult(accepted=len(ids))),
        ids_digest=hashlib.sha256(joined).digest(),
        counts=(Count(1, "accepted", "", len(ids)),),
    )


@contextmanager
def open_journal(max_bytes: int = 1 << 26) -> Iterator[tuple[Journal, Path]]:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        with closing(Journal.open(path, max_bytes=max_bytes)) as journal:
            yield journal, path


def stored_ids(directory: Path) -> list[UUID]:
    ids: list[UUID] = []
    with closing(JournalReader(directory)) as reader:
        while block := reader.next_block(1000, 0):
            for blob in reader.read(block):
                ids += [UUID(bytes=each) for each in decode_rows(blob).event_id]
            reader.checkpoint(block)
    return ids


async def append_directly(
    appends: Appends,
) -> tuple[list[Receipt], Accounts, list[UUID]]:
    with open_journal() as (journal, path):
        receipts = [
            await journal.append(make_entry(batch, events))
            for _, batch, events in appends
        ]
        await journal.flush_counts()
        return receipts, journal.accounts(), stored_ids(path)


@settings(max_examples=30)
@given(APPENDS)
def test_two_workers_have_one_journal(appends: Appends) -> None:
    async def append() -> tuple[list[Receipt], Accounts, list[UUID]]:
        async with AsyncExitStack() as stack:
            journal, path = stack.enter_context(open_journal())
            desk = make_desk(journal)
            links = [(await stack.enter_async_context(join(desk)))[0] for _ in range(2)]
            workers = [RemoteJournal(each) for each in links]
            receipts = [
                await workers[worker].append(make_entry(batch, events))
                for worker, batch, events in appends
            ]
            await journal.flush_counts()
            return receipts, journal.accounts(), stored_ids(path)

    found, expected = asyncio.run(append()), asyncio.run(append_directly(appends))
    assert found[0] == expected[0]
    assert found[1].events == expected[1].events
    assert found[2] == expected[2]


@settings(max_examples=30)
@given(APPENDS)
def test_whatever_two_workers_append_at_once_is_stored_once(appends: Appends) -> None:
    async def append() -> tuple[list[Receipt], list[UUID]]:
        async with AsyncExitStack() as stack:
            journal, path = stack.enter_context(open_journal())
            desk = make_desk(journal)
            links = [(await stack.enter_async_context(join(desk)))[0] for _ in range(2)]
            workers = [RemoteJournal(each) for each in links]
            receipts = await asyncio.gather(
                *(
                    workers[worker].append(make_entry(batch, events))
                    for worker, batch, events in appends
                )
            )
            return receipts, stored_ids(path)

    receipts, ids = asyncio.run(append())
    assert len(receipts) == len(appends)
    assert sorted(ids) == sorted(
        {UUID(int=each) for _, _, events in appends for each in events}
    )


def test_a_worker_can_look_into_the_window() -> None:
    async def look() -> None:
        with open_journal() as (journal, _):
            async with join(make_desk(journal)) as (link, _):
                remote = RemoteJournal(link)
                entry = make_entry(3, [1, 2])
                await remote.append(entry)
                key, ids = UUID(int=3).bytes, [UUID(int=n).bytes for n in (0, 1, 2)]

                known = await remote.look_up(key, ids)
                strange = await remote.look_up(ids[0], [])
                stored = await remote.stored_answer(key)

                assert (known.batch, known.events) == (True, frozenset(ids[1:]))
                assert (strange.batch, strange.events) == (False, frozenset())
                assert stored == StoredAnswer(entry.ids_digest, entry.answer)
                assert await remote.stored_answer(ids[0]) is None

    asyncio.run(look())


def test_what_a_worker_counts_rides_in_the_next_commit() -> None:
    async def count() -> None:
        with open_journal() as (journal, _):
            async with join(make_desk(journal)) as (link, _):
                remote = RemoteJournal(link)
                remote.count(Count(1, "dropped", "bot", 5))
                await remote.append(make_entry(1, [1]))

                assert journal.accounts().events[1, "dropped", "bot"] == 5

    asyncio.run(count())


def test_errors_of_the_journal_are_raised_in_the_worker() -> None:
    async def refuse() -> None:
        with open_journal(max_bytes=1) as (journal, _):
            async with join(make_desk(journal)) as (link, _):
                remote = RemoteJournal(link)
                await remote.append(make_entry(1, [1]))
                with pytest.raises(JournalFullError, match="HEADWATER_JOURNAL_MAX"):
                    await remote.append(make_entry(2, [2]))
                await asyncio.to_thread(journal.close)
                with pytest.raises(JournalClosedError, match="closing"):
                    await remote.append(make_entry(2, [2]))
                with pytest.raises(JournalClosedError, match="closing"):
                    await remote.stored_answer(UUID(int=1).bytes)

    asyncio.run(refuse())


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, JournalError)
    ],
)
def test_every_error_of_the_journal_can_travel(kind: type[JournalError]) -> None:
    error = to_error(to_answer(kind("what to do")))

    assert type(error) is kind
    assert str(error) == "what to do"


def test_a_worker_whose_owner_is_gone_says_so() -> None:
    async def lose() -> None:
        orders: list[object] = []
        with open_journal() as (journal, _):
            async with join(make_desk(journal), orders.append) as (link, owner):
                remote = RemoteJournal(link)
                waiting = asyncio.create_task(remote.append(make_entry(1, [1])))
                await asyncio.sleep(0)
                owner.close()

                with pytest.raises(OwnerGoneError, match="send it again"):
                    await waiting
                with pytest.raises(OwnerGoneError):
                    await remote.append(make_entry(2, [2]))
                assert len(orders) == 1

    asyncio.run(lose())


def test_a_worker_takes_no_more_than_may_wait_for_the_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote_journal, "MAX_WAITING_BYTES", 10)

    async def overfill() -> None:
        with open_journal() as (journal, _):
            async with join(make_desk(journal)) as (link, _):
                remote = RemoteJournal(link)
                first = asyncio.create_task(remote.append(make_entry(1, [1])))
                await asyncio.sleep(0)
                with pytest.raises(JournalFullError, match="too much waits"):
                    await remote.append(make_entry(2, [2]))
                await first
                await remote.append(make_entry(2, [2]))

    asyncio.run(overfill())
