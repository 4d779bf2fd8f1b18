"""The journal through its public seam: what it takes, what not, what it answers."""

import asyncio
import shutil
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from headwater_ingest.errors import (
    JournalClosedError,
    JournalFullError,
    JournalShareError,
)
from headwater_ingest.journal import (
    Committed,
    Entry,
    Journal,
    JournalReader,
    JournalStatus,
    PartlyRepeated,
    Receipt,
    Repeated,
    StoredAnswer,
)
from headwater_ingest.journal import journal as journal_module
from headwater_schema.batch import BatchResult

MakeEntry = Callable[..., Entry]
Append = Callable[..., list[Receipt]]
Drain = Callable[[], list[UUID]]
ReadAnswer = Callable[[bytes], BatchResult]
WaitUntil = Callable[[Callable[[], bool]], None]


def stored_answer(journal: Journal, batch_id: bytes) -> StoredAnswer | None:
    async def ask() -> StoredAnswer | None:
        return await journal.stored_answer(batch_id)

    return asyncio.run(ask())


def append_with_errors(
    journal: Journal, *entries: Entry
) -> list[Receipt | BaseException]:
    async def gather() -> list[Receipt | BaseException]:
        return await asyncio.gather(
            *map(journal.append, entries), return_exceptions=True
        )

    return asyncio.run(gather())


def test_what_was_appended_is_there_after_reopening(
    tmp_path: Path, make_entry: MakeEntry, append: Append, drain: Drain
) -> None:
    ids = [uuid4() for _ in range(5)]
    with closing(Journal.open(tmp_path, max_bytes=1 << 20)) as journal:
        append(journal, make_entry(ids[:3]), make_entry(ids[3:]))

    with closing(Journal.open(tmp_path, max_bytes=1 << 20)) as journal:
        assert journal.status().rows_pending == 5
        assert drain() == ids


def test_every_start_takes_a_new_uuid(tmp_path: Path) -> None:
    """A copy that is started would otherwise give other rows the same tokens."""
    seen = set()
    for _ in range(3):
        with closing(Journal.open(tmp_path, max_bytes=1 << 20)) as journal:
            seen.add(journal.uuid)

    assert len(seen) == 3


def test_a_copy_gives_its_new_rows_other_tokens(
    tmp_path: Path, make_entry: MakeEntry, append: Append
) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    with closing(Journal.open(original, max_bytes=1 << 20)) as journal:
        append(journal, make_entry(2))
        with closing(JournalReader(original)) as reader:
            frozen = reader.next_block(1000, 0)
    shutil.copytree(original, copy)

    tokens = []
    for directory in (original, copy):
        with closing(Journal.open(directory, max_bytes=1 << 20)) as journal:
            append(journal, make_entry(3))
        with closing(JournalReader(directory)) as reader:
            assert reader.next_block(1000, 0) == frozen, "these rows are the same"
            assert frozen
            reader.checkpoint(frozen)
            block = reader.next_block(1000, 0)
            assert block
            tokens.append(block.token)

    assert [each.rpartition("/")[2] for each in tokens] == ["3-5", "3-5"]
    assert len(set(tokens)) == 2


def test_the_directory_is_made(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"

    Journal.open(directory, max_bytes=1 << 20).close()

    assert (directory / "journal.db").exists()


def test_a_repeated_batch_gets_the_stored_answer(
    journal: Journal, make_entry: MakeEntry, append: Append, read_answer: ReadAnswer
) -> None:
    entry = make_entry(3)

    assert append(journal, entry) == [Committed()]
    (receipt,) = append(journal, entry)

    assert receipt == Repeated(StoredAnswer(entry.ids_digest, entry.answer))
    assert journal.status().rows_pending == 3
    assert read_answer(receipt.stored.for_repeat()) == BatchResult(duplicates=3)


def test_copies_under_way_at_the_same_time_are_stored_once(
    journal: Journal, make_entry: MakeEntry, append: Append
) -> None:
    entry = make_entry(3)

    receipts = append(journal, entry, entry, entry)

    repeated = Repeated(StoredAnswer(entry.ids_digest, entry.answer))
    assert receipts == [Committed(), repeated, repeated]
    assert journal.status().rows_pending == 3


def test_events_that_another_batch_brought_are_taken_out(
    journal: Journal,
    make_entry: MakeEntry,
    append: Append,
    drain: Drain,
    read_answer: ReadAnswer,
) -> None:
    old, new = [uuid4(), uuid4()], [uuid4(), uuid4(), uuid4()]
    append(journal, make_entry(old))

    (receipt,) = append(journal, make_entry([new[0], *old, *new[1:]]))

    assert isinstance(receipt, PartlyRepeated)
    assert read_answer(receipt.answer) == BatchResult(accepted=3, duplicates=2)
    assert drain() == [*old, *new]


def test_events_that_two_waiting_batches_share_are_stored_once(
    journal: Journal,
    make_entry: MakeEntry,
    append: Append,
    drain: Drain,
    read_answer: ReadAnswer,
) -> None:
    a, b, c = uuid4(), uuid4(), uuid4()

    first, second = append(journal, make_entry([a, b]), make_entry([b, c]))

    assert first == Committed()
    assert isinstance(second, PartlyRepeated)
    assert read_answer(second.answer) == BatchResult(accepted=1, duplicates=1)
    assert drain() == [a, b, c]


def test_an_event_that_stands_twice_in_a_batch_is_stored_once(
    journal: Journal,
    make_entry: MakeEntry,
    append: Append,
    drain: Drain,
    read_answer: ReadAnswer,
) -> None:
    a, b = uuid4(), uuid4()

    (receipt,) = append(journal, make_entry([a, b, a]))

    assert isinstance(receipt, PartlyRepeated)
    assert read_answer(receipt.answer) == BatchResult(accepted=2, duplicates=1)
    assert drain() == [a, b]


def test_a_batch_id_with_other_events_is_judged_event_by_event(
    journal: Journal,
    make_entry: MakeEntry,
    append: Append,
    drain: Drain,
) -> None:
    a, b, batch_id = uuid4(), uuid4(), uuid4()
    other = make_entry([b], batch_id)
    append(journal, make_entry([a], batch_id))

    assert append(journal, other) == [Committed()]

    assert drain() == [a, b]
    assert stored_answer(journal, batch_id.bytes) == StoredAnswer(
        other.ids_digest, other.answer
    )


def test_a_batch_without_rows_is_remembered(
    tmp_path: Path, make_entry: MakeEntry, append: Append
) -> None:
    entry = make_entry(0)
    with closing(Journal.open(tmp_path, max_bytes=1 << 20)) as journal:
        assert append(journal, entry) == [Committed()]
        assert journal.status().rows_pending == 0

    with closing(Journal.open(tmp_path, max_bytes=1 << 20)) as journal:
        assert journal.seen_batch(entry.batch_id)
        (receipt,) = append(journal, entry)

    assert receipt == Repeated(StoredAnswer(entry.ids_digest, entry.answer))


def test_a_batch_of_known_events_only_is_remembered(
    journal: Journal, make_entry: MakeEntry, append: Append, read_answer: ReadAnswer
) -> None:
    event_id = uuid4()
    again = make_entry([event_id])
    append(journal, make_entry([event_id]))

    append(journal, again)

    stored = stored_answer(journal, again.batch_id)
    assert stored is not None
    assert read_answer(stored.answer) == BatchResult(duplicates=1)
    assert journal.status().rows_pending == 1


def test_the_window_tells_known_ids_from_unknown_ones(
    journal: Journal, make_entry: MakeEntry, append: Append
) -> None:
    a, b, unknown = uuid4(), uuid4(), uuid4()
    entry = make_entry([a, b])
    append(journal, entry)

    assert journal.seen_batch(entry.batch_id)
    assert not journal.seen_batch(unknown.bytes)
    ids = [a.bytes, unknown.bytes, b.bytes]
    assert journal.seen_events(ids) == {a.bytes, b.bytes}


def test_an_event_that_was_taken_since_the_look_is_a_duplicate(
    journal: Journal, make_entry: MakeEntry, append: Append, read_answer: ReadAnswer
) -> None:
    append(journal, make_entry(1))
    shared, fresh = uuid4(), uuid4()
    looked = replace(make_entry([shared, fresh]), seen_through=journal.seen_through)
    append(journal, make_entry([shared]))

    (receipt,) = append(journal, looked)

    assert isinstance(receipt, PartlyRepeated)
    assert read_answer(receipt.answer) == BatchResult(accepted=1, duplicates=1)


def test_the_window_survives_a_restart(
    tmp_path: Path, make_entry: MakeEntry, append: Append
) -> None:
    entries = [make_entry(4) for _ in range(10)]
    with closing(Journal.open(tmp_path, max_bytes=1 << 20)) as journal:
        for entry in entries:
            append(journal, entry)

    with closing(Journal.open(tmp_path, max_bytes=1 << 20)) as journal:
        assert journal.status().window_events == 40
        for entry in entries:
            assert journal.seen_batch(entry.batch_id)
            assert stored_answer(journal, entry.batch_id) == StoredAnswer(
                entry.ids_digest, entry.answer
            )


def test_an_unknown_batch_has_no_stored_answer(journal: Journal) -> None:
    assert stored_answer(journal, bytes(16)) is None


def test_the_window_forgets_on_disk_too(
    tmp_path: Path, make_entry: MakeEntry, append: Append
) -> None:
    entries = [make_entry(10) for _ in range(30)]
    with closing(
        Journal.open(tmp_path, max_bytes=1 << 20, window_events=100)
    ) as journal:
        for entry in entries:
            append(journal, entry)

    # With room for all, what was deleted is still unknown.
    with closing(Journal.open(tmp_path, max_bytes=1 << 20)) as journal:
        known = [journal.seen_batch(each.batch_id) for each in entries]

    assert known == sorted(known)
    assert 7 <= sum(known) <= 11


def test_the_status_says_since_when_the_oldest_row_waits(
    tmp_path: Path, make_entry: MakeEntry, append: Append, drain: Drain
) -> None:
    now = iter(range(1000, 9000, 1000)).__next__
    with closing(Journal.open(tmp_path, max_bytes=1 << 20, clock=now)) as journal:
        assert journal.status().oldest_pending_at_ms is None
        append(journal, make_entry(2))
        append(journal, make_entry(2))

        status = journal.status()

    assert (status.oldest_pending_at_ms, status.window_from_ms) == (1000, 1000)
    assert (status.rows_pending, status.window_events) == (4, 4)


def test_the_status_follows_the_writer(
    journal: Journal,
    make_entry: MakeEntry,
    append: Append,
    drain: Drain,
    wait_until: WaitUntil,
) -> None:
    append(journal, make_entry(4, padding=1000))
    assert journal.status().bytes_pending > 1000

    drain()

    wait_until(lambda: journal.status().rows_pending == 0)
    assert journal.status().bytes_pending == 0
    assert journal.status().oldest_pending_at_ms is None


def test_a_refreshed_status_knows_what_the_writer_has_just_done(
    journal: Journal, make_entry: MakeEntry, append: Append, drain: Drain
) -> None:
    append(journal, make_entry(4))
    drain()

    async def refresh() -> JournalStatus:
        return await journal.refresh()

    assert asyncio.run(refresh()).rows_pending == 0


def test_a_full_journal_refuses_until_rows_are_gone(
    tmp_path: Path,
    make_entry: MakeEntry,
    append: Append,
    drain: Drain,
    wait_until: WaitUntil,
) -> None:
    with closing(Journal.open(tmp_path, max_bytes=10_000)) as journal:
        append(journal, make_entry(1, padding=10_000))
        refused = make_entry(1)

        with pytest.raises(JournalFullError, match="HEADWATER_JOURNAL_MAX_BYTES"):
            append(journal, refused)

        assert journal.status().full
        assert not journal.seen_batch(refused.batch_id)
        drain()
        wait_until(lambda: not journal.status().full)
        assert append(journal, refused) == [Committed()]


def test_above_half_of_the_room_no_site_gets_more_than_its_share(
    tmp_path: Path,
    make_entry: MakeEntry,
    append: Append,
    drain: Drain,
    wait_until: WaitUntil,
) -> None:
    greedy = [make_entry(1, padding=100_000) for _ in range(8)]
    modest = [replace(make_entry(1), site_id=8) for _ in range(2)]
    with closing(Journal.open(tmp_path, max_bytes=1_000_000)) as journal:
        journal.divide_among(lambda: 2)
        for entry in greedy[:5]:
            append(journal, entry)
        append(journal, modest[0])

        with pytest.raises(JournalShareError, match="share of this site"):
            append(journal, greedy[5])

        assert append(journal, modest[1]) == [Committed()]
        assert not journal.status().full
    with closing(Journal.open(tmp_path, max_bytes=1_000_000)) as journal:
        with pytest.raises(JournalShareError):
            append(journal, greedy[6])
        drain()
        wait_until(lambda: journal.status().rows_pending == 0)
        for entry in greedy[5:]:
            assert append(journal, entry) == [Committed()]


def test_a_site_that_is_alone_has_all_the_room(
    tmp_path: Path, make_entry: MakeEntry, append: Append
) -> None:
    with closing(Journal.open(tmp_path, max_bytes=1_000_000)) as journal:
        journal.divide_among(lambda: 1)
        for _ in range(10):
            append(journal, make_entry(1, padding=100_000))

        assert journal.status().full
        with pytest.raises(JournalFullError) as caught:
            append(journal, make_entry(1))
        assert not isinstance(caught.value, JournalShareError)


def test_what_a_lone_site_has_written_does_not_count_against_it(
    tmp_path: Path, make_entry: MakeEntry, append: Append
) -> None:
    with closing(Journal.open(tmp_path, max_bytes=100_000)) as journal:
        for _ in range(9):  # in one stretch, of which half is written
            append(journal, make_entry(1, padding=5_000))
        with closing(JournalReader(tmp_path)) as reader:
            block = reader.next_block(5, 0)
            assert block
            reader.checkpoint(block)
        while not journal.status().full:
            assert append(journal, make_entry(1, padding=5_000)) == [Committed()]


def test_entries_that_wait_count_towards_the_limit(
    tmp_path: Path, make_entry: MakeEntry
) -> None:
    with closing(Journal.open(tmp_path, max_bytes=10_000)) as journal:
        first, second = append_with_errors(
            journal, make_entry(1, padding=10_000), make_entry(1)
        )

    assert first == Committed()
    assert isinstance(second, JournalFullError)


def test_only_so_much_may_wait_for_the_disk(
    journal: Journal,
    make_entry: MakeEntry,
    append: Append,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal_module, "MAX_WAITING_BYTES", 1000)

    first, second = append_with_errors(
        journal, make_entry(1, padding=1000), make_entry(1)
    )

    assert first == Committed()
    assert isinstance(second, JournalFullError)
    assert append(journal, make_entry(1)) == [Committed()]


def test_many_entries_share_commits(
    tmp_path: Path, make_entry: MakeEntry, append: Append, drain: Drain
) -> None:
    sizes: list[int] = []
    with closing(
        Journal.open(
            tmp_path, max_bytes=1 << 26, on_commit=lambda _, size: sizes.append(size)
        )
    ) as journal:
        append(journal, *[make_entry(2) for _ in range(500)])
        assert journal.status().rows_pending == 1000

    assert sum(sizes) == 500
    assert len(sizes) < 250
    assert len(set(drain())) == 1000


def test_a_cancelled_append_is_on_disk_all_the_same(
    journal: Journal, make_entry: MakeEntry, drain: Drain
) -> None:
    event_id = uuid4()

    async def cancel() -> None:
        task = asyncio.create_task(journal.append(make_entry([event_id])))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await journal.append(make_entry(1)) == Committed()

    asyncio.run(cancel())

    assert event_id in drain()
    assert journal._commits.waiting_bytes == 0


def test_no_signal_interrupts_the_commit_thread(journal: Journal) -> None:
    async def ask() -> set[int]:
        return await journal._commits.look(
            lambda _: signal.pthread_sigmask(signal.SIG_BLOCK, ())
        )

    assert {signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP} <= asyncio.run(ask())


def test_closing_commits_what_is_queued(
    tmp_path: Path, make_entry: MakeEntry, drain: Drain
) -> None:
    journal = Journal.open(tmp_path, max_bytes=1 << 26)

    async def append_and_close() -> list[Receipt]:
        tasks = [asyncio.create_task(journal.append(make_entry(1))) for _ in range(50)]
        await asyncio.sleep(0)
        journal.close()
        return await asyncio.gather(*tasks)

    assert asyncio.run(append_and_close()) == [Committed()] * 50
    Journal.open(tmp_path, max_bytes=1 << 26).close()
    assert len(drain()) == 50


def test_a_closed_journal_refuses(
    tmp_path: Path, make_entry: MakeEntry, append: Append
) -> None:
    journal = Journal.open(tmp_path, max_bytes=1 << 20)
    journal.close()
    journal.close()

    with pytest.raises(JournalClosedError):
        append(journal, make_entry(1))
    with pytest.raises(JournalClosedError):
        stored_answer(journal, bytes(16))


def test_an_entry_that_makes_no_sense_does_not_end_the_journal(
    journal: Journal, make_entry: MakeEntry, append: Append
) -> None:
    known = uuid4()
    append(journal, make_entry([known]))
    good = make_entry([known, uuid4()])
    broken = Entry(
        site_id=good.site_id,
        batch_id=good.batch_id,
        event_ids=good.event_ids,
        rows=b"\xc1",
        row_count=2,
        answer=good.answer,
        ids_digest=good.ids_digest,
    )

    with pytest.raises(ValueError, match="MessagePack"):
        append(journal, broken)

    (receipt,) = append(journal, good)
    assert isinstance(receipt, PartlyRepeated)


def test_an_entry_has_one_id_per_row(make_entry: MakeEntry) -> None:
    good = make_entry(2)

    with pytest.raises(ValueError, match="one event id"):
        Entry(
            site_id=7,
            batch_id=good.batch_id,
            event_ids=good.event_ids,
            rows=good.rows,
            row_count=3,
            answer=good.answer,
            ids_digest=good.ids_digest,
        )


def test_row_numbers_go_on_after_everything_was_drained(
    tmp_path: Path, make_entry: MakeEntry, append: Append, drain: Drain
) -> None:
    with closing(Journal.open(tmp_path, max_bytes=1 << 20)) as journal:
        append(journal, make_entry(4))
    drain()

    with closing(Journal.open(tmp_path, max_bytes=1 << 20)) as journal:
        append(journal, make_entry(2))
        assert journal.status().rows_pending == 2
        with closing(JournalReader(tmp_path)) as reader:
            block = reader.next_block(1000, 0)

    assert block is not None
    assert (block.first_row, block.last_row) == (5, 6)
    assert block.token == f"{journal.uuid}/5-6"


def test_rows_that_nobody_can_send_again_are_stored_and_not_remembered(
    tmp_path: Path, make_entry: MakeEntry, append: Append
) -> None:
    ours = replace(make_entry(3), batch_id=b"")
    with closing(Journal.open(tmp_path, max_bytes=1 << 20)) as journal:
        receipts = append(journal, ours, make_entry(2), ours)

        assert receipts == [Committed(), Committed(), Committed()]
        assert journal.status().window_events == 2
    with closing(JournalReader(tmp_path)) as reader:
        block = reader.next_block(1000, 0)

    assert block is not None
    assert (block.first_row, block.last_row) == (1, 8)
