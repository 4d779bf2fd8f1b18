"""Opening a journal: what stands in the way is named, and nothing is deleted."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from headwater_ingest.errors import (
    JournalDamagedError,
    JournalLockedError,
    JournalUnwritableError,
)
from headwater_ingest.journal import Entry, Journal, JournalReader, Receipt
from headwater_ingest.journal.database import (
    FILE_NAME,
    FORMAT,
    open_for_service,
    open_for_writer,
)

_NOBODY = 65534


def open_and_close(directory: Path) -> None:
    Journal.open(directory, max_bytes=1 << 20).close()


def change(directory: Path, statement: str) -> None:
    with closing(sqlite3.connect(directory / FILE_NAME)) as connection, connection:
        connection.execute(statement)


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A directory, with a journal in it, that the test's user may only read."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        open_and_close(directory)
        (directory / FILE_NAME).chmod(0o444)
        (directory / "journal.lock").chmod(0o666)
        directory.chmod(0o555)
        is_root = os.geteuid() == 0
        if is_root:  # who may write everywhere
            os.seteuid(_NOBODY)
        yield directory
        if is_root:
            os.seteuid(0)
        directory.chmod(0o755)


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from headwater_ingest.journal import Journal;"
        "Journal.open(Path(sys.argv[1]), max_bytes=1)"
    )
    with closing(Journal.open(tmp_path, max_bytes=1 << 20)):
        second = subprocess.run(
            [sys.executable, "-c", code, tmp_path],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )

    assert f"in use by process {os.getpid()}" in second.stderr
    open_and_close(tmp_path)


def test_a_second_journal_in_the_same_process_is_refused(tmp_path: Path) -> None:
    with (
        closing(Journal.open(tmp_path, max_bytes=1 << 20)),
        pytest.raises(JournalLockedError, match="HEADWATER_DATA_DIR"),
    ):
        open_and_close(tmp_path)


@pytest.mark.parametrize("content", [b"this is no database at all" * 1000, b"short"])
def test_a_file_that_is_no_database_is_left_alone(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(content)

    with pytest.raises(JournalDamagedError, match="nothing was changed"):
        open_and_close(tmp_path)

    assert path.read_bytes() == content


def test_a_failed_opening_lets_the_lock_go(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(b"no database")
    with pytest.raises(JournalDamagedError):
        open_and_close(tmp_path)
    path.unlink()

    open_and_close(tmp_path)


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    change(tmp_path, "CREATE TABLE theirs (id INTEGER)")
    before = (tmp_path / FILE_NAME).read_bytes()

    with pytest.raises(
        JournalDamagedError, match="another program; nothing was changed"
    ):
        open_and_close(tmp_path)

    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    open_and_close(tmp_path)
    change(tmp_path, f"PRAGMA user_version = {FORMAT + 1}")

    with pytest.raises(JournalDamagedError, match="newer version"):
        open_and_close(tmp_path)
    with pytest.raises(JournalDamagedError, match="newer version"):
        JournalReader(tmp_path)


def test_damage_inside_the_file_is_found(
    tmp_path: Path,
    make_entry: Callable[..., Entry],
    append: Callable[..., list[Receipt]],
) -> None:
    with closing(Journal.open(tmp_path, max_bytes=1 << 24)) as journal:
        for _ in range(50):
            append(journal, make_entry(100, padding=1000))
    path = tmp_path / FILE_NAME
    content = bytearray(path.read_bytes())
    content[16_384:] = os.urandom(len(content) - 16_384)
    path.write_bytes(content)

    with pytest.raises(JournalDamagedError, match="nothing was changed"):
        open_and_close(tmp_path)

    assert path.read_bytes() == content


def test_a_journal_without_its_tables_is_damaged(tmp_path: Path) -> None:
    open_and_close(tmp_path)
    change(tmp_path, "DROP TABLE seen")

    with pytest.raises(JournalDamagedError, match="no such table"):
        open_and_close(tmp_path)


def test_a_directory_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()

    with pytest.raises(JournalUnwritableError, match="unable to open"):
        open_and_close(tmp_path)


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_log_without_its_database_is_left_alone(
    tmp_path: Path, *, is_empty: bool
) -> None:
    if is_empty:
        (tmp_path / FILE_NAME).touch()
    log = tmp_path / f"{FILE_NAME}-wal"
    log.write_bytes(b"rows that were acknowledged")

    with pytest.raises(JournalDamagedError, match="nothing was changed"):
        open_and_close(tmp_path)

    assert log.exists()


def test_an_empty_file_becomes_a_journal(tmp_path: Path) -> None:
    # It is what a crash in the middle of the first opening leaves.
    (tmp_path / FILE_NAME).touch()

    open_and_close(tmp_path)

    assert (tmp_path / FILE_NAME).stat().st_size > 0


def test_a_read_only_file_is_named(read_only: Path) -> None:
    with pytest.raises(JournalUnwritableError, match=r"journal\.db cannot be written"):
        open_and_close(read_only)


def test_a_read_only_directory_is_named(read_only: Path) -> None:
    with pytest.raises(JournalUnwritableError, match="writable for this user"):
        JournalReader(read_only)


def test_a_directory_that_cannot_be_made_is_named(read_only: Path) -> None:
    with pytest.raises(JournalUnwritableError, match="cannot be made"):
        open_and_close(read_only / "data")


def test_a_file_in_place_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")

    with pytest.raises(JournalUnwritableError, match="data is a file: set"):
        open_and_close(tmp_path / "data")


def test_every_commit_is_synced(tmp_path: Path) -> None:
    open_and_close(tmp_path)

    for open_database in (open_for_service, open_for_writer):
        with closing(open_database(tmp_path)) as connection:
            (sync,) = connection.execute("PRAGMA synchronous").fetchone()
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        assert (sync, mode, page_bytes) == (2, "wal", 16_384)
