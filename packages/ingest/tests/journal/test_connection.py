"""The file of a journal is for its owner alone."""

import os
import stat
from contextlib import closing
from pathlib import Path

from headwater_ingest.journal.connection import connect_sqlite


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
