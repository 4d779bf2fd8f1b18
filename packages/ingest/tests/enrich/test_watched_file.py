from pathlib import Path

import pytest
from structlog.testing import capture_logs

from headwater_ingest.enrich.watched_file import WatchedFile
from headwater_ingest.errors import DataFileError


def load(path: Path) -> str:
    try:
        text = path.read_text()
    except OSError as error:
        raise DataFileError(path, "is missing") from error
    if text == "broken":
        raise DataFileError(path, "is broken")
    return text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.fixture
def watched(path: Path) -> WatchedFile[str]:
    return WatchedFile(path, load, default="default")


def test_first_look_reads_the_file(path: Path, watched: WatchedFile[str]) -> None:
    path.write_text("one")
    assert watched.value == "default"
    assert watched.refresh()
    assert (watched.value, watched.problem) == ("one", None)


def test_change_is_taken_up_once_it_has_come_to_rest(
    path: Path, watched: WatchedFile[str]
) -> None:
    path.write_text("one")
    watched.refresh()
    path.write_text("half of")
    assert not watched.refresh()
    path.write_text("half of two")
    assert not watched.refresh()
    assert watched.value == "one"
    assert watched.refresh()
    assert watched.value == "half of two"


def test_file_that_stays_is_not_read_again(
    path: Path, watched: WatchedFile[str]
) -> None:
    path.write_text("one")
    assert [watched.refresh() for _ in range(3)] == [True, False, False]


def test_missing_file_leaves_the_default_and_is_found_later(
    path: Path, watched: WatchedFile[str]
) -> None:
    assert not watched.refresh()
    assert (watched.value, watched.problem) == ("default", f"{path}: is missing")
    path.write_text("one")
    watched.refresh()
    assert watched.refresh()
    assert watched.value == "one"


def test_broken_file_leaves_the_last_good_one_in_force(
    path: Path, watched: WatchedFile[str]
) -> None:
    path.write_text("one")
    watched.refresh()
    path.write_text("broken")
    watched.refresh()
    assert not watched.refresh()
    assert (watched.value, watched.problem) == ("one", f"{path}: is broken")


def test_deleted_file_leaves_the_last_good_one_in_force(
    path: Path, watched: WatchedFile[str]
) -> None:
    path.write_text("one")
    watched.refresh()
    path.unlink()
    watched.refresh()
    assert not watched.refresh()
    assert (watched.value, watched.problem) == ("one", f"{path}: is missing")


def test_problem_is_logged_once(path: Path, watched: WatchedFile[str]) -> None:
    path.write_text("broken")
    with capture_logs() as logs:
        for _ in range(3):
            watched.refresh()
    assert [line["log_level"] for line in logs] == ["warning"]
