import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from headwater_ingest.errors import SitesFileError
from headwater_ingest.sites.sites_file import SitesFile

KEYS = ["hw_0123456789abcdef", "hw_fedcba9876543210"]


def write(path: Path, *keys: str) -> None:
    path.write_text(
        "".join(
            f'[[site]]\ndomain = "{number}.example"\nwrite_key = "{key}"\n'
            for number, key in enumerate(keys)
        )
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sites.toml"


def load(path: Path) -> SitesFile:
    file = SitesFile(path)
    file.load()
    return file


def domains(file: SitesFile) -> list[str]:
    return [record.domain for record in file.records]


def test_a_change_is_read_once_the_file_has_come_to_rest(path: Path) -> None:
    write(path, KEYS[0])
    file = load(path)

    write(path, *KEYS)
    assert not file.refresh()  # perhaps it is still being written
    assert domains(file) == ["0.example"]
    assert file.refresh()

    assert domains(file) == ["0.example", "1.example"]
    assert not file.refresh()


def test_a_file_that_keeps_changing_is_not_taken_up(path: Path) -> None:
    write(path, KEYS[0])
    file = load(path)

    for length in range(3):
        path.write_text("#" * length)
        assert not file.refresh()

    assert domains(file) == ["0.example"]
    assert file.problem is None


def test_a_broken_file_keeps_the_last_good_sites(path: Path) -> None:
    write(path, KEYS[0])
    file = load(path)

    path.write_text("[[site]")
    file.refresh()
    assert not file.refresh()

    assert domains(file) == ["0.example"]
    assert file.problem is not None
    assert "is not TOML" in file.problem


def test_each_mistake_in_a_broken_file_is_told_apart(path: Path) -> None:
    write(path, KEYS[0])
    file = load(path)

    path.write_text("[[site]]\ndomain = 7\nwrite_key = 7\n")
    with capture_logs() as logs:
        file.refresh()
        file.refresh()

    (line,) = logs
    assert len(line["problems"]) > 1
    assert not any("\n" in problem for problem in line["problems"])


def test_a_file_that_is_gone_keeps_the_last_good_sites(path: Path) -> None:
    write(path, KEYS[0])
    file = load(path)

    path.unlink()
    file.refresh()
    file.refresh()

    assert domains(file) == ["0.example"]
    assert file.problem is not None
    assert "does not exist" in file.problem


def test_a_file_that_is_good_again_ends_the_problem(path: Path) -> None:
    write(path, KEYS[0])
    file = load(path)
    path.unlink()
    file.refresh()
    file.refresh()

    write(path, *KEYS)
    file.refresh()
    file.refresh()

    assert file.problem is None
    assert domains(file) == ["0.example", "1.example"]


def test_a_file_that_is_wrong_at_the_start_is_an_error(path: Path) -> None:
    with pytest.raises(SitesFileError):
        SitesFile(path).load()


def test_a_file_that_comes_later_is_read(path: Path) -> None:
    file = SitesFile(path)
    assert not file.refresh()
    assert file.problem is None

    write(path, KEYS[0])
    file.refresh()

    assert file.refresh()
    assert domains(file) == ["0.example"]


def test_a_file_is_known_by_its_whole_path(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)

    assert SitesFile(Path("sites.toml")).name == os.path.realpath(path)
