"""Bad rows among good ones: which are written, which are dead, and when it stops."""

from __future__ import annotations

from contextlib import closing, suppress
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from clickhouse_driver.errors import ServerException
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.errors import TooManyDeadLettersError
from headwater_ingest.journal import JournalReader, Verdict
from headwater_ingest.journal.dead_letters import open_dead_letters
from headwater_ingest.rows import EVENT_ID, Rows, decode_rows
from headwater_ingest.writer.bisect import Bisection, Limits
from headwater_ingest.writer.block import Insert, make_inserts
from headwater_ingest.writer.control import Control
from headwater_ingest.writer.loop import WriterLoop
from headwater_ingest.writer.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headwater_ingest.journal import Journal

    Fill = Callable[..., list[UUID]]
    Write = Callable[..., Progress]

YEAR_MS = 366 * 86_400_000


class PickyTable:
    """A table with a memory for tokens that refuses some rows, and may break down.

    Attributes:
        bad: The ids of rows that it refuses.
        calls_left: It breaks down at the call after these; None: it does not.
    """

    def __init__(self, bad: set[UUID], calls_left: int | None = None) -> None:
        self.bad = bad
        self.calls_left = calls_left
        self.stored: list[UUID] = []
        self.tokens: set[str] = set()
        self.calls = 0

    def insert(self, insert: Insert) -> None:
        if self.calls_left == self.calls:
            raise KeyboardInterrupt  # a kill: no handler of ours sees it
        self.calls += 1
        raw = insert.columns[insert.names.index(EVENT_ID)]
        ids = [UUID(bytes=each) for each in raw]
        if self.bad.intersection(ids):
            raise ServerException("Constraint `c` is violated", 469)
        if insert.token not in self.tokens:
            self.tokens.add(insert.token)
            self.stored += ids


class MemoryVerdicts:
    """Verdicts that outlast a crash."""

    def __init__(self) -> None:
        self.verdicts: dict[str, Verdict] = {}

    def read_verdicts(self) -> dict[str, Verdict]:
        return self.verdicts

    def add_verdict(self, token: str, error: str | None) -> Verdict:
        assert token not in self.verdicts
        self.verdicts[token] = Verdict(error, 1)
        return self.verdicts[token]


def make_block(ids: list[UUID], years: int = 1) -> list[Insert]:
    times = [1_600_000_000_000 + index % years * YEAR_MS for index in range(len(ids))]
    rows = Rows([each.bytes for each in ids], {"site_id": 7}, {"timestamp": times})
    return make_inserts([rows], "block")


def number(ids: int) -> list[UUID]:
    return [UUID(int=index) for index in range(1, ids + 1)]


@given(data=st.data())
def test_each_row_is_written_once_or_dead_whatever_crashes(data: st.DataObject) -> None:
    ids = number(data.draw(st.integers(1, 40)))
    bad = data.draw(st.sets(st.sampled_from(ids), max_size=8))
    inserts = make_block(ids, data.draw(st.integers(1, 3)))
    table, verdicts = PickyTable(bad), MemoryVerdicts()
    for crash_after in data.draw(st.lists(st.integers(0, 12), max_size=4)):
        table.calls_left = table.calls + crash_after
        try:
            Bisection(table, verdicts, Limits()).send(inserts)
        except KeyboardInterrupt:
            if data.draw(st.booleans()):  # what was bad may be good after the restart
                table.bad = table.bad - {min(table.bad, default=ids[0])}
    table.calls_left = None

    dead = Bisection(table, verdicts, Limits()).send(inserts)

    assert sorted([*table.stored, *(each.event_id for each in dead)]) == ids


def test_a_good_block_is_one_insert_and_asks_nothing() -> None:
    table = PickyTable(set())

    assert (
        Bisection(table, MemoryVerdicts(), Limits()).send(make_block(number(9))) == []
    )
    assert table.tokens == {"block"}


def test_the_bad_row_of_many_is_found_in_few_steps() -> None:
    ids = number(1024)
    table = PickyTable({ids[700]})

    (dead,) = Bisection(table, MemoryVerdicts(), Limits()).send(make_block(ids))

    assert (dead.event_id, dead.site_id) == (ids[700], 7)
    assert dead.error == "code 469: Constraint `c` is violated"
    assert table.calls == 1 + 2 * 10
    assert len(table.stored) == 1023


def test_a_row_keeps_all_its_columns_in_the_letter() -> None:
    constants = {"site_id": 7, "revenue_source_amount": "1.250", "props": {"a": "b"}}
    rows = Rows([UUID(int=5).bytes], constants, {"timestamp": [1_790_000_000_000]})
    (insert,) = make_inserts([rows], "block")

    (dead,) = Bisection(PickyTable({UUID(int=5)}), MemoryVerdicts(), Limits()).send(
        [insert]
    )
    (again,) = make_inserts([decode_rows(dead.row)], "block")

    assert again == insert


def test_other_tables_are_not_bisected() -> None:
    class NoCounters(PickyTable):
        def insert(self, insert: Insert) -> None:
            raise ServerException("no", 469)

    counters = Insert("block/c", ("site_id",), [[1, 2]], "ingest_counters")

    with pytest.raises(ServerException):
        Bisection(NoCounters(set()), MemoryVerdicts(), Limits()).send([counters])


def test_a_run_of_bad_rows_stops_it_and_no_further_one_is_given_up() -> None:
    ids = number(64)
    verdicts, table = MemoryVerdicts(), PickyTable(set(ids))
    bisection = Bisection(table, verdicts, Limits(run=5, share=0))

    for _ in range(3):
        with pytest.raises(TooManyDeadLettersError, match="HEADWATER_DEAD_LETTER_RUN"):
            bisection.send(make_block(ids))

    assert sum(each.error is not None for each in verdicts.verdicts.values()) == 5

    table.bad = set()
    dead = bisection.send(make_block(ids))

    assert [each.event_id for each in dead] == ids[:5]
    assert table.stored == ids[5:]


def test_a_run_goes_on_from_block_to_block() -> None:
    table = PickyTable(set(number(10)))
    bisection = Bisection(table, MemoryVerdicts(), Limits(run=3))
    for each in range(3):
        (insert,) = make_inserts(
            [Rows([UUID(int=each + 1).bytes], {}, {})], f"block {each}"
        )
        bisection.send([insert])
        bisection.end_block()

    with pytest.raises(TooManyDeadLettersError):
        bisection.send(make_block([UUID(int=4)]))


def test_a_share_of_bad_rows_stops_it() -> None:
    ids = number(100)
    table = PickyTable(set(ids[::2]))

    with pytest.raises(TooManyDeadLettersError):
        Bisection(table, MemoryVerdicts(), Limits(run=2, share=0.1)).send(
            make_block(ids)
        )

    table = PickyTable(set(ids[::10]))
    limits = Limits(run=2, share=0.1)
    assert len(Bisection(table, MemoryVerdicts(), limits).send(make_block(ids))) == 10


def test_the_loop_lets_a_block_go_with_its_dead(
    tmp_path: Path, journal: Journal, fill: Fill, write: Write
) -> None:
    ids = fill(4, rows=5)
    table = PickyTable({ids[3], ids[11]})

    progress = write(table)

    assert sorted(table.stored) == sorted(set(ids) - table.bad)
    assert (progress.status.rows_written, progress.status.rows_dead) == (18, 2)
    with open_dead_letters(tmp_path) as letters:
        found = letters.read()
    assert {each.event_id for each in found} == table.bad
    assert {each.name for each in found} == {"pageview"}
    assert all(each.distinct_id.startswith("user ") for each in found)


def test_after_a_crash_in_the_middle_of_a_bisect_no_row_is_twice_or_nowhere(
    tmp_path: Path, journal: Journal, fill: Fill, write: Write
) -> None:
    ids = fill(4, rows=5)
    table = PickyTable({ids[3], ids[11]})
    for crash_after in (2, 5, 8, 11):
        table.calls_left = table.calls + crash_after
        with suppress(KeyboardInterrupt):
            write(table)
        table.bad = set(list(table.bad)[:1])  # the table may be mended meanwhile
    table.calls_left = None

    write(table)

    with open_dead_letters(tmp_path) as letters:
        dead = [each.event_id for each in letters.read()]
    assert sorted(table.stored + dead) == sorted(ids)


def test_verdicts_end_with_their_block(
    tmp_path: Path, journal: Journal, fill: Fill, write: Write
) -> None:
    ids = fill(1, rows=5)
    write(PickyTable({ids[0]}))

    with closing(JournalReader(tmp_path)) as reader:
        assert reader.read_verdicts() == {}


def test_beyond_the_limits_the_block_stays(
    tmp_path: Path, journal: Journal, fill: Fill
) -> None:
    ids = fill(1, rows=10)
    control, progress = Control(), Progress(lambda _: None)
    control.drain(0.3)
    with closing(JournalReader(tmp_path)) as reader:
        WriterLoop(
            reader,
            PickyTable(set(ids)),
            control=control,
            progress=progress,
            block_rows=1000,
            block_age_ms=0,
            limits=Limits(run=2, share=0),
        ).run()

    assert progress.status.last_error is not None
    assert progress.status.last_error.kind == "rejected"
    assert progress.status.rows_dead == 0
    with open_dead_letters(tmp_path) as letters:
        assert letters.count() == 0
