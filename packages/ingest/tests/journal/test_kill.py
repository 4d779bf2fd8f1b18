"""kill -9 at any instant: what was acknowledged is there, and nothing is twice."""

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from uuid import UUID

from headwater_ingest.journal import Committed, Entry, Journal, Receipt, Repeated

APPENDER = Path(__file__).with_name("appender.py")
ROUNDS = 12

Append = Callable[..., list[Receipt]]
Drain = Callable[[], list[UUID]]


def _load_make_entry() -> Callable[[int], Entry]:
    spec = spec_from_file_location("appender", APPENDER)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    make_entry: Callable[[int], Entry] = module.make_entry
    return make_entry


make_entry = _load_make_entry()


def ids_of(batch: int) -> list[UUID]:
    return [UUID(int=batch * 100 + index) for index in range(batch % 7)]


def append_until_killed(
    directory: Path, first: int, chance: random.Random
) -> list[int]:
    """Run an appender, kill it at a random instant, and return what it told."""
    process = subprocess.Popen(
        [sys.executable, APPENDER, directory, str(first)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    told = [int(process.stdout.readline()) for _ in range(chance.randrange(200))]
    time.sleep(chance.random() * 0.01)
    process.kill()
    with process.stdout as output:  # and what of it has been read ahead
        rest = output.read()
    process.wait(30)
    complete, _, _ = rest.rpartition(b"\n")
    return [*told, *map(int, complete.split())]


def test_nothing_acknowledged_is_lost_and_nothing_is_twice(
    tmp_path: Path, append: Append, drain: Drain
) -> None:
    chance = random.Random(random.random())  # pytest-randomly prints its seed
    first, told, drained = 1, set[int](), list[UUID]()
    for _ in range(ROUNDS):
        told.update(append_until_killed(tmp_path, first, chance))
        first = max(told, default=0) + 20  # beyond all that was under way
        if chance.random() < 0.3:
            drained += drain()

    batches = range(1, first)
    with closing(Journal.open(tmp_path, max_bytes=1 << 30)) as journal:
        receipts = append(journal, *map(make_entry, batches))
    drained += drain()

    lost = [
        batch
        for batch, receipt in zip(batches, receipts, strict=True)
        if batch in told and not isinstance(receipt, Repeated)
    ]
    assert lost == []
    expected = [each for batch in batches for each in ids_of(batch)]
    assert sorted(drained, key=int) == expected


def test_a_torn_log_keeps_what_comes_before_the_tear(
    tmp_path: Path, append: Append, drain: Drain
) -> None:
    original, torn = tmp_path / "original", tmp_path
    with closing(Journal.open(original, max_bytes=1 << 30)) as journal:
        for batch in range(1, 30):
            append(journal, make_entry(batch))
        log = (original / "journal.db-wal").read_bytes()
        shutil.copy(original / "journal.db", torn)
    chance = random.Random(len(log))
    cut = chance.randrange(len(log) // 2, len(log))
    (torn / "journal.db-wal").write_bytes(log[:cut] + chance.randbytes(5000))

    with closing(Journal.open(torn, max_bytes=1 << 30)) as journal:
        receipts = [append(journal, make_entry(batch))[0] for batch in range(1, 30)]

    kept = [isinstance(each, Repeated) for each in receipts]
    assert kept == sorted(kept, reverse=True)
    assert 5 < sum(kept) < 29
    assert set(receipts[sum(kept) :]) == {Committed()}
    assert drain() == [each for batch in range(1, 30) for each in ids_of(batch)]
