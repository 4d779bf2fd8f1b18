"""The spool on disk, alone: what it keeps, for whom, and what it survives."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from headwater._spool import DiskSpool
from headwater._spool_port import Spool, SpooledBatch

SITE = "https://events.example.com key"
DEADLINE_S = 30


def batch(number: int, count: int = 2) -> SpooledBatch:
    events = tuple(b'{"n":%d,"i":%d}' % (number, index) for index in range(count))
    return SpooledBatch(f"batch-{number}", events, historical=number % 2 == 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "spool.db"


@pytest.fixture
def make(path: Path) -> Callable[..., DiskSpool]:
    def make(**options: object) -> DiskSpool:
        return DiskSpool(path, **{"destination": SITE, **options})  # type: ignore[arg-type] # options of a test

    return make


Make = Callable[..., DiskSpool]


def ids(batches: object) -> list[str]:
    return [each.batch_id for each in batches]  # type: ignore[attr-defined] # a sequence of batches


def test_hands_out_what_was_kept_before_it_was_opened_oldest_first(make: Make) -> None:
    before: Spool = make()
    kept = [batch(number) for number in range(3)]
    assert not before.keep(kept[:2])
    assert not before.keep(kept[2:])
    before.close()
    after = make()
    assert list(after.take(2)) == kept[:2]
    assert list(after.take(9)) == kept[2:]
    assert not after.take(9)


@given(events=st.lists(st.binary(), max_size=5), historical=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_events_come_back_byte_for_byte(
    tmp_path: Path, events: list[bytes], *, historical: bool
) -> None:
    spool = DiskSpool(tmp_path / "spool.db", destination=SITE)
    kept = SpooledBatch("one", tuple(events), historical=historical)
    spool.keep([kept])
    assert list(spool.take(1)) == [kept]
    spool.done(["one"])
    spool.close()


def test_nothing_is_made_before_there_is_something_to_keep(
    make: Make, path: Path
) -> None:
    spool = make()
    assert not spool.take(5)
    spool.done(["never seen"])
    spool.close()
    assert not path.parent.exists()


def test_batch_that_is_done_never_comes_back(make: Make) -> None:
    spool = make()
    spool.keep([batch(1), batch(2)])
    spool.take(1)
    spool.done(["batch-1"])
    spool.close()
    assert ids(make().take(5)) == ["batch-2"]


def test_batch_that_is_kept_again_is_free_in_its_old_place(make: Make) -> None:
    spool = make()
    spool.keep([batch(1), batch(2)])
    (first,) = spool.take(1)
    assert not spool.keep([first])
    assert ids(spool.take(5)) == ["batch-1", "batch-2"]


def test_batch_kept_twice_is_there_once(make: Make) -> None:
    spool = make()
    spool.keep([batch(1)])
    spool.keep([batch(1)])
    assert ids(spool.take(5)) == ["batch-1"]


def test_full_spool_says_which_batches_it_has_not_stored(make: Make) -> None:
    size = len(batch(1).events[0]) * 2 + 8
    spool = make(max_bytes=2 * size)
    assert spool.keep([batch(1), batch(2), batch(3)]) == {"batch-3"}
    assert spool.keep([batch(4)]) == {"batch-4"}
    spool.done(["batch-1"])
    assert not spool.keep([batch(5)])
    assert ids(spool.take(5)) == ["batch-2", "batch-5"]


def test_file_shrinks_when_its_batches_are_done(make: Make, path: Path) -> None:
    spool = make()
    empty = SpooledBatch("big", (b"x" * 1_000_000,))
    spool.keep([empty])
    assert path.stat().st_size > 1_000_000
    spool.done(["big"])
    assert path.stat().st_size < 100_000


def test_batches_of_another_site_are_left_alone(make: Make) -> None:
    make().keep([batch(1)])
    other = make(destination="https://events.example.com other")
    assert not other.take(5)
    assert ids(make().take(5)) == ["batch-1"]


def test_write_key_is_not_in_the_file(make: Make, path: Path) -> None:
    make(destination="very-secret-key").keep([batch(1)])
    assert b"very-secret-key" not in path.read_bytes()


def test_nobody_else_can_read_the_file(make: Make, path: Path) -> None:
    make().keep([batch(1)])
    assert path.stat().st_mode & 0o077 == 0


def test_two_clients_of_a_process_never_get_the_same_batch(make: Make) -> None:
    one, other = make(), make()
    one.keep([batch(1), batch(2)])
    assert ids(one.take(1)) == ["batch-1"]
    assert ids(other.take(5)) == ["batch-2"]
    one.close()
    assert ids(other.take(5)) == ["batch-1"]


def test_name_of_the_file_may_be_any(tmp_path: Path) -> None:
    one, other = (DiskSpool(tmp_path / "a[b]*.db", destination=SITE) for _ in range(2))
    one.keep([batch(1), batch(2)])
    one.take(1)
    assert ids(other.take(5)) == ["batch-2"]
    one.close()
    other.close()
    assert [each.name for each in tmp_path.iterdir()] == ["a[b]*.db"]


def test_closed_spool_leaves_no_file_but_its_own(make: Make, path: Path) -> None:
    spool = make()
    spool.keep([batch(1)])
    spool.take(1)
    spool.close()
    assert [each.name for each in path.parent.iterdir()] == [path.name]


class SpoolMachine(RuleBasedStateMachine):
    """Two spools on one file against a list: order, ownership, nothing doubled."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "spool.db"
        self.spools = [self.open(), self.open()]
        self.model: list[tuple[SpooledBatch, int | None]] = []
        self.made = 0

    def open(self) -> DiskSpool:
        return DiskSpool(self.path, destination=SITE)

    def teardown(self) -> None:
        for spool in self.spools:
            spool.close()
        self.folder.cleanup()

    @rule(who=st.integers(0, 1), count=st.integers(1, 3))
    def keep(self, who: int, count: int) -> None:
        new = [batch(self.made + index) for index in range(count)]
        self.made += count
        assert not self.spools[who].keep(new)
        self.model += [(each, None) for each in new]

    @rule(who=st.integers(0, 1), limit=st.integers(0, 3))
    def take(self, who: int, limit: int) -> None:
        free = [each for each, owner in self.model if owner is None][:limit]
        assert list(self.spools[who].take(limit)) == free
        self.model = [
            (each, who if each in free else owner) for each, owner in self.model
        ]

    @rule(who=st.integers(0, 1))
    def finish_one(self, who: int) -> None:
        mine = [each for each, owner in self.model if owner == who][:1]
        self.spools[who].done(ids(mine))
        self.model = [pair for pair in self.model if pair[0] not in mine]

    @rule(who=st.integers(0, 1))
    def keep_again(self, who: int) -> None:
        mine = [each for each, owner in self.model if owner == who][-1:]
        self.spools[who].keep(mine)
        self.model = [
            (each, None if each in mine else owner) for each, owner in self.model
        ]

    @rule(who=st.integers(0, 1))
    def reopen(self, who: int) -> None:
        self.spools[who].close()
        self.spools[who] = self.open()
        self.model = [
            (each, None if owner == who else owner) for each, owner in self.model
        ]

    @invariant()
    def counts_agree(self) -> None:
        if self.path.exists():
            with sqlite3.connect(self.path) as file:
                (count,) = file.execute("SELECT count(*) FROM batches").fetchone()
            file.close()
            assert count == len(self.model)


TestSpoolMachine = SpoolMachine.TestCase
TestSpoolMachine.settings = settings(
    max_examples=25, stateful_step_count=15, deadline=None
)


# -- damage -----------------------------------------------------------------------


def damage_all(path: Path) -> None:
    path.write_bytes(b"this is no database, and it is long enough to be read" * 100)


def damage_the_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100:-100] = b"\xff" * (len(content) - 200)
    path.write_bytes(content)


def damage_the_end(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [damage_all, damage_the_middle, damage_the_end])
def test_corrupt_file_is_moved_aside_counted_and_logged_once(
    make: Make,
    path: Path,
    damage: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    make().keep([SpooledBatch(f"b{n}", (b"x" * 3000,)) for n in range(50)])
    damage(path)
    spool = make()
    with caplog.at_level(logging.WARNING, "headwater"):
        assert not spool.take(100)
        assert not spool.keep([batch(1)])
        assert ids(spool.take(5)) == ["batch-1"]
        spool.done(["batch-1"])
    assert spool.corruptions == 1
    assert path.with_name("spool.db.corrupt").exists()
    assert len(caplog.records) == 1
    assert "is corrupt" in caplog.text


def test_batch_with_a_flipped_bit_costs_that_batch(
    make: Make, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make().keep([batch(1), SpooledBatch("marked", (b"flip me", b"me too")), batch(2)])
    path.write_bytes(path.read_bytes().replace(b"flip me", b"flop me"))
    spool = make()
    assert ids(spool.take(5)) == ["batch-1", "batch-2"]
    assert spool.lost == 2
    assert "events lost to damage: 2" in caplog.text


def test_database_of_somebody_else_is_left_as_it_is(
    make: Make, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as theirs:
        theirs.execute("CREATE TABLE precious (x)")
    theirs.close()
    before = path.read_bytes()
    spool = make()
    assert spool.keep([batch(1)]) == {"batch-1"}
    assert not spool.take(1)
    assert path.read_bytes() == before
    assert "no spool of this version" in caplog.text


def test_place_that_cannot_be_written_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    spool = DiskSpool(tmp_path / "file" / "spool.db", destination=SITE)
    assert spool.keep([batch(1), batch(2)]) == {"batch-1", "batch-2"}
    assert spool.keep([batch(1)]) == {"batch-1"}
    assert len(caplog.records) == 1


def test_file_that_stays_locked_costs_no_more_than_a_second(
    make: Make, path: Path
) -> None:
    make().keep([batch(0)])
    spool = make()
    spool.take(1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert spool.keep([batch(1)]) == {"batch-1"}
    spool.done(["batch-0"])
    other.execute("COMMIT")
    other.close()
    assert not spool.keep([batch(2)])
    spool.close()
    # What could not be forgotten then was forgotten with the next change.
    assert ids(make().take(5)) == ["batch-2"]


# -- processes --------------------------------------------------------------------

PRELUDE = """
import os, sys, time
from pathlib import Path
from headwater._spool import DiskSpool
from headwater._spool_port import SpooledBatch
spool = DiskSpool(sys.argv[1], destination={site!r})
def say(*words): print(*words, flush=True)
"""


def run(path: Path, code: str) -> subprocess.Popen[str]:
    script = PRELUDE.format(site=SITE) + code
    return subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=DEADLINE_S)


def test_batches_of_a_killed_process_go_to_the_next_in_order(
    make: Make, path: Path
) -> None:
    make().keep([batch(number) for number in range(4)])
    child = run(path, "say(len(spool.take(2))); time.sleep(60)")
    assert line(child) == "2"
    mine = make()
    assert ids(mine.take(1)) == ["batch-2"]
    kill(child)
    assert ids(mine.take(9)) == ["batch-0", "batch-1", "batch-3"]
    mine.close()
    assert [each.name for each in path.parent.iterdir()] == [path.name]


WRITER = """
for number in range(100000):
    spool.keep([SpooledBatch(str(number), (b"x" * 5000,) * 4)])
    say(number)
"""


@pytest.mark.parametrize("heard", [1, 7, 40])
def test_kill_in_the_midst_of_writing_loses_nothing_that_was_kept(
    make: Make, path: Path, heard: int
) -> None:
    child = run(path, WRITER)
    for _ in range(heard):
        line(child)
    child.send_signal(signal.SIGKILL)
    # Not `communicate`, which does not know what the pipe's reader has read ahead.
    assert child.stdout
    with child.stdout as told:
        rest = told.read()
    child.wait(DEADLINE_S)
    last = int(rest.split()[-1]) if rest.split() else heard - 1
    spool = make()
    found = ids(spool.take(100_000))
    assert spool.corruptions == 0
    # One more may have been committed before it could be told.
    assert found in ([str(n) for n in range(last + more)] for more in (1, 2))


TAKER = """
say("ready")
sys.stdin.readline()
while batches := spool.take(3):
    say(*(each.batch_id for each in batches))
    spool.done([each.batch_id for each in batches])
"""


def test_processes_that_share_a_file_get_each_batch_once(
    make: Make, path: Path
) -> None:
    make().keep([batch(number) for number in range(60)])
    script = PRELUDE.format(site=SITE) + TAKER
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for taker in takers:
        assert line(taker) == "ready"
    heard = [taker.communicate("go\n", timeout=DEADLINE_S)[0] for taker in takers]
    taken = " ".join(heard).split()
    assert sorted(taken) == sorted(f"batch-{number}" for number in range(60))
    assert not make().take(1)


FORKER = """
spool.keep([SpooledBatch(str(n), (b"x",)) for n in range(3)])
say(*(each.batch_id for each in spool.take(1)))
if os.fork():
    os.wait()
    spool.done(["0"])
    say(*(each.batch_id for each in spool.take(9)))
else:
    say(*(each.batch_id for each in spool.take(1)))
    os._exit(0)
"""


def test_child_of_a_fork_takes_for_itself(path: Path) -> None:
    out, _ = run(path, FORKER).communicate(timeout=DEADLINE_S)
    assert out.splitlines() == ["0", "1", "1 2"]
