"""The journal against a plain model, through restarts, crashes and a slow writer."""

import asyncio
import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from headwater_ingest.journal import (
    Block,
    Committed,
    Count,
    Entry,
    Journal,
    JournalReader,
    PartlyRepeated,
    Receipt,
    Repeated,
    StoredAnswer,
)
from headwater_ingest.journal.accounts import Fate
from headwater_ingest.journal.peek import peek
from headwater_ingest.rows import Rows, decode_rows, encode_rows
from headwater_schema.batch import BatchResult

EVENTS = st.lists(st.integers(0, 40), max_size=6)
BATCH = st.tuples(st.integers(0, 12), EVENTS)


def make_entry(batch: int, events: Sequence[int], *, seen_through: int = 0) -> Entry:
    ids = [UUID(int=each) for each in events]
    joined = b"".join(each.bytes for each in ids)
    return Entry(
        site_id=1,
        batch_id=UUID(int=batch).bytes,
        event_ids=joined,
        rows=encode_rows(
            Rows([each.bytes for each in ids], {}, {"scroll_depth": list(events)})
        ),
        row_count=len(ids),
        answer=msgspec.json.encode(BatchResult(accepted=len(ids))),
        ids_digest=hashlib.sha256(joined).digest(),
        counts=(
            Count(1, "accepted", "", len(ids)),
            Count(1, "dropped", "bot", batch % 3),
        ),
        seen_through=seen_through,
    )


class Model:
    """What a journal is, without a disk."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.answers: dict[int, StoredAnswer] = {}
        self.counts: Counter[tuple[int, str, str]] = Counter()

    def append(self, batch: int, events: Sequence[int]) -> Receipt:
        entry = make_entry(batch, events)
        stored = self.answers.get(batch)
        if stored and stored.ids_digest == entry.ids_digest:
            self.counts[1, "duplicate", ""] += len(events) + batch % 3
            return Repeated(stored)
        fresh = [each for each in dict.fromkeys(events) if each not in self.rows]
        self.rows += fresh
        self.counts[1, "accepted", ""] += len(fresh)
        self.counts[1, "duplicate", ""] += len(events) - len(fresh)
        self.counts[1, "dropped", "bot"] += batch % 3
        answer = msgspec.json.encode(
            BatchResult(accepted=len(fresh), duplicates=len(events) - len(fresh))
        )
        self.answers[batch] = StoredAnswer(entry.ids_digest, answer)
        return Committed() if len(fresh) == len(events) else PartlyRepeated(answer)


class JournalMachine(RuleBasedStateMachine):
    """A journal, its writer, and the model of both."""

    def __init__(self) -> None:
        super().__init__()
        self.directories = [Path(tempfile.mkdtemp())]
        self.runner = asyncio.Runner()
        self.model = Model()
        self.written: list[int] = []
        self.counted: Counter[tuple[int, str, str]] = Counter()
        self.last_number = 0
        self.frozen: Block | None = None
        self.judged: list[tuple[int, list[int], int]] = []
        self.open()

    def open(self) -> None:
        self.journal = Journal.open(self.directories[-1], max_bytes=1 << 30)
        self.reader = JournalReader(self.directories[-1])

    def close(self) -> None:
        self.judged.clear()  # nobody has acknowledged them
        self.reader.close()
        self.journal.close()

    def teardown(self) -> None:
        self.close()
        self.runner.close()
        for directory in self.directories:
            shutil.rmtree(directory)

    @rule(batches=st.lists(BATCH, min_size=1, max_size=4))
    def append_side_by_side(self, batches: list[tuple[int, list[int]]]) -> None:
        async def gather() -> list[Receipt]:
            entries = [make_entry(*each) for each in batches]
            return await asyncio.gather(*map(self.journal.append, entries))

        expected = [self.model.append(*each) for each in batches]
        assert self.runner.run(gather()) == expected

    @rule(batch=BATCH)
    def judge(self, batch: tuple[int, list[int]]) -> None:
        """What is known by now is taken out; the rest is appended later."""
        number, events = batch
        through = self.journal.seen_through
        known = self.journal.seen_events([UUID(int=each).bytes for each in events])
        fresh = [each for each in events if UUID(int=each).bytes not in known]
        self.judged.append((number, fresh, through))

    @precondition(lambda self: self.judged)
    @rule()
    def append_what_was_judged(self) -> None:
        judged, self.judged = self.judged, []

        async def gather() -> list[Receipt]:
            entries = [
                make_entry(batch, events, seen_through=through)
                for batch, events, through in judged
            ]
            return await asyncio.gather(*map(self.journal.append, entries))

        expected = [self.model.append(batch, events) for batch, events, _ in judged]
        assert self.runner.run(gather()) == expected

    @rule(site=st.integers(0, 2), events=st.integers(1, 5))
    def count_drops(self, site: int, events: int) -> None:
        self.journal.count(Count(site, "dropped", "throttle", events))
        self.runner.run(self.journal.flush_counts())
        self.model.counts[site, "dropped", "throttle"] += events

    @precondition(lambda self: self.model.answers)
    @rule(data=st.data())
    def ask_for_an_answer(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(sorted(self.model.answers)))

        async def ask() -> StoredAnswer | None:
            return await self.journal.stored_answer(UUID(int=batch).bytes)

        assert self.runner.run(ask()) == self.model.answers[batch]

    @rule(max_rows=st.integers(1, 20))
    def freeze_and_send(self, max_rows: int) -> None:
        block = self.reader.next_block(max_rows, 0)
        if self.frozen is not None:
            assert block == self.frozen
        if block is None:
            assert len(self.written) == len(self.model.rows)
            assert self.counted == +self.model.counts
            return
        sent = [
            int.from_bytes(each)
            for blob in self.reader.read(block)
            for each in decode_rows(blob).event_id
        ]
        assert block.first_row == self.last_number + 1
        assert sent == self.model.rows[len(self.written) :][: len(sent)]
        self.frozen = block
        self.sent = sent
        self.sent_counts = self.reader.read_counts(block)

    @precondition(lambda self: self.frozen)
    @rule()
    def checkpoint(self) -> None:
        assert self.frozen is not None
        assert self.reader.read_counts(self.frozen) == self.sent_counts
        self.reader.checkpoint(self.frozen)
        self.last_number = self.frozen.last_row
        self.written += self.sent
        for sums in self.sent_counts.values():
            self.counted.update(sums)
        self.frozen = None

    @rule()
    def restart(self) -> None:
        self.close()
        self.open()

    @rule()
    def crash(self) -> None:
        """What kill -9 leaves between two commits is the files as they are now."""
        directory = Path(tempfile.mkdtemp())
        for name in ("journal.db", "journal.db-wal"):
            if (self.directories[-1] / name).exists():
                shutil.copy(self.directories[-1] / name, directory)
        self.close()
        self.directories.append(directory)
        self.open()

    @invariant()
    def the_backlog_is_told_exactly(self) -> None:
        status = self.runner.run(self.journal.refresh())
        assert status.rows_pending == len(self.model.rows) - len(self.written)
        assert (status.oldest_pending_at_ms is None) == (status.rows_pending == 0)

    @invariant()
    def the_accounts_close(self) -> None:
        found = peek(self.directories[-1])
        assert found
        assert found.accounts
        assert found.accounts.imbalances() == {}
        assert found.accounts.pending[1] == len(self.model.rows) - len(self.written)
        assert found.accounts.total(1, Fate.WRITTEN) == len(self.written)
        for key, events in self.model.counts.items():
            assert found.accounts.events[key] == events

    @invariant()
    def the_window_knows_what_was_taken(self) -> None:
        ids = [UUID(int=each).bytes for each in range(41)]
        taken = {UUID(int=each).bytes for each in self.model.rows}
        assert self.journal.seen_events(ids) == taken
        for batch in range(13):
            is_seen = self.journal.seen_batch(UUID(int=batch).bytes)
            assert is_seen == (batch in self.model.answers)


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
