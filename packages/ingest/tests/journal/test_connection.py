"""The file of a journal is for its owner alone, and two processes share it."""

import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from headwater_ingest.journal.connection import Connection, connect_sqlite


def test_the_file_and_what_lies_beside_it_are_for_their_owner(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(connect_sqlite(tmp_path / "journal.db")) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE t (a)")
            files = list(tmp_path.iterdir())
            modes = {stat.S_IMODE(each.stat().st_mode) for each in files}
    finally:
        os.umask(before)
    assert (len(files), modes) == (3, {0o600})


def test_a_file_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.touch()
    path.chmod(0o640)
    connect_sqlite(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


class Waits:
    """What is slept, each a second by a clock of its own; one wait is the last."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        self.seconds: list[float] = []
        self.last: Callable[[], object] = lambda: None
        patch.setattr(time, "sleep", self.sleep)
        patch.setattr(time, "monotonic", lambda: self.now_s)

    def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.now_s += 1
        if len(self.seconds) == ENOUGH:
            self.last()


ENOUGH: Final = 20


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    return Waits(monkeypatch)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Connection, Connection]]:
    """Two connections to one file, as service and writer have them."""
    path = tmp_path / "journal.db"
    with closing(connect_sqlite(path)) as one, closing(connect_sqlite(path)) as other:
        one.execute("PRAGMA journal_mode = WAL")
        one.execute("CREATE TABLE t (a)")
        yield one, other


def test_a_statement_waits_in_small_steps_for_the_other_process(
    pair: tuple[Connection, Connection], waits: Waits
) -> None:
    one, other = pair
    other.execute("BEGIN IMMEDIATE")
    waits.last = lambda: other.execute("COMMIT")

    one.execute("INSERT INTO t VALUES (1)")

    assert one.execute("SELECT * FROM t").fetchall() == [(1,)]
    assert len(waits.seconds) == ENOUGH
    assert max(waits.seconds) < 0.001


def test_a_statement_does_not_wait_for_ever(
    pair: tuple[Connection, Connection], waits: Waits
) -> None:
    one, other = pair
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        one.execute("BEGIN IMMEDIATE")

    assert waits.now_s == 30


def test_a_snapshot_that_is_too_old_to_write_is_not_waited_for(
    pair: tuple[Connection, Connection], waits: Waits
) -> None:
    one, other = pair
    one.execute("BEGIN")
    one.execute("SELECT * FROM t").fetchall()
    other.execute("INSERT INTO t VALUES (1)")

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        one.execute("INSERT INTO t VALUES (2)")

    assert waits.seconds == []


def test_any_other_error_is_raised_at_once(
    pair: tuple[Connection, Connection], waits: Waits
) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        pair[0].execute("SELECT * FROM elsewhere")

    assert waits.seconds == []
