"""One behaviour, whoever keeps the counts."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.sites import shared_counts
from headwater_ingest.sites.counts import NOTHING, Counted, Counts, OwnCounts
from headwater_ingest.sites.rate_limit import RateWindows
from headwater_ingest.sites.shared_counts import SharedCounts, make_shared_file

NOW_MS = 1_000_000
LATER_MS = 2_000_000


@pytest.fixture(params=["own", "shared"])
def counts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Counts]:
    with ExitStack() as stack:
        if request.param == "own":
            yield OwnCounts()
        else:
            file = stack.enter_context(make_shared_file(tmp_path))
            yield SharedCounts(file.fileno())


def test_nothing_is_known_of_a_site_at_first(counts: Counts) -> None:
    assert counts.read(1) == NOTHING


def test_what_was_written_last_is_read(counts: Counts) -> None:
    for events in (1, 2**63):
        counts.write(2**64 - 1, Counted(LATER_MS, events), now_ms=NOW_MS)

    assert counts.read(2**64 - 1) == Counted(LATER_MS, 2**63)
    assert counts.read(1) == NOTHING


@given(st.lists(st.tuples(st.integers(1, 2**64 - 1), st.integers(0, 2**64 - 1))))
def test_counts_of_sites_that_run_are_all_kept(
    tmp_path_factory: pytest.TempPathFactory, given: list[tuple[int, int]]
) -> None:
    with make_shared_file(tmp_path_factory.mktemp("counts")) as file:
        shared = SharedCounts(file.fileno())

        for site_id, events in given:
            shared.write(site_id, Counted(LATER_MS, events), now_ms=NOW_MS)

        for site_id, events in dict(given).items():
            assert shared.read(site_id) == Counted(LATER_MS, events)


def test_many_sites_that_run_are_all_kept(counts: Counts) -> None:
    for site_id in range(1, 5000):
        counts.write(site_id, Counted(LATER_MS, site_id), now_ms=NOW_MS)

    for site_id in range(1, 5000):
        assert counts.read(site_id) == Counted(LATER_MS, site_id)


def test_windows_that_have_passed_take_no_room_of_the_process() -> None:
    counts = OwnCounts()

    for number in range(5000):
        now_ms = NOW_MS + number * 1000
        counts.write(number, Counted(now_ms + 60_000, 1), now_ms=now_ms)

    assert len(counts) < 1200


def test_the_slot_of_a_window_that_has_passed_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_counts, "PROBES", 1)
    with make_shared_file(tmp_path) as file:
        counts = SharedCounts(file.fileno())
        first, second = _two_of_one_slot()
        counts.write(first, Counted(NOW_MS, 1), now_ms=NOW_MS - 1)

        counts.write(second, Counted(LATER_MS, 2), now_ms=NOW_MS)

        other = SharedCounts(file.fileno())
        assert other.read(second) == Counted(LATER_MS, 2)
        assert other.read(first) == NOTHING


def test_a_site_that_finds_no_room_is_counted_by_each_process_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_counts, "PROBES", 1)
    with make_shared_file(tmp_path) as file:
        counts, other = SharedCounts(file.fileno()), SharedCounts(file.fileno())
        first, second = _two_of_one_slot()
        counts.write(first, Counted(LATER_MS, 1), now_ms=NOW_MS)

        counts.write(second, Counted(LATER_MS, 2), now_ms=NOW_MS)

        assert counts.read(second) == Counted(LATER_MS, 2)
        assert other.read(second) == NOTHING
        assert other.read(first) == Counted(LATER_MS, 1)


def _two_of_one_slot() -> tuple[int, int]:
    [place] = shared_counts._places(1)
    found = next(
        each for each in range(2, 10**6) if [*shared_counts._places(each)] == [place]
    )
    return 1, found


CLAIMS = """
import sys
from headwater_ingest.sites.rate_limit import RateWindows
from headwater_ingest.sites.shared_counts import SharedCounts
windows = RateWindows(lambda: 5, SharedCounts(int(sys.argv[1])))
print("ready", flush=True)
sys.stdin.readline()
taken = sum(windows.claim(7, 60, events=1, limit=15_000) for _ in range(10_000))
print(taken, flush=True)
"""


def test_a_limit_is_exact_over_processes(tmp_path: Path) -> None:
    with make_shared_file(tmp_path) as file, ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", CLAIMS, str(file.fileno())],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    pass_fds=[file.fileno()],
                )
            )
            for _ in range(2)
        ]
        for each in processes:
            assert each.stdout
            assert each.stdout.readline() == "ready\n"
        taken = [int(each.communicate("go\n")[0]) for each in processes]

        assert sum(taken) == 15_000
        mine = RateWindows(lambda: 5, SharedCounts(file.fileno()))
        assert mine.claim(7, 60, events=1, limit=15_000) == 0


KILLED = """
import os, signal, sys
from headwater_ingest.sites.shared_counts import SharedCounts
counts = SharedCounts(int(sys.argv[1]))
with counts.locked():
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_dies_with_the_lock_holds_up_nobody(tmp_path: Path) -> None:
    with make_shared_file(tmp_path) as file:
        subprocess.run(
            [sys.executable, "-c", KILLED, str(file.fileno())],
            pass_fds=[file.fileno()],
            check=False,
        )

        windows = RateWindows(lambda: 5, SharedCounts(file.fileno()))
        assert windows.claim(7, 60, events=1, limit=1) == 1
