from pathlib import Path

import pytest

from headwater_ingest.errors import SitesFileError
from headwater_ingest.sites import SiteRegistry
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


def load(path: Path) -> tuple[SitesFile, SiteRegistry]:
    registry = SiteRegistry()
    file = SitesFile(path, registry)
    file.load()
    return file, registry


def test_a_change_is_in_force_once_the_file_has_come_to_rest(path: Path) -> None:
    write(path, KEYS[0])
    file, registry = load(path)

    write(path, *KEYS)
    file.refresh()
    assert registry.by_key(KEYS[1]) is None  # perhaps it is still being written
    file.refresh()

    assert registry.by_key(KEYS[1]) is not None


def test_a_file_that_keeps_changing_is_not_taken_up(path: Path) -> None:
    write(path, KEYS[0])
    file, registry = load(path)

    for length in range(3):
        path.write_text("#" * length)
        file.refresh()

    assert registry.by_key(KEYS[0]) is not None
    assert file.problem is None


def test_a_broken_file_keeps_the_last_good_sites(path: Path) -> None:
    write(path, KEYS[0])
    file, registry = load(path)

    path.write_text("[[site]")
    file.refresh()
    file.refresh()

    assert registry.by_key(KEYS[0]) is not None
    assert file.problem is not None
    assert "is not TOML" in file.problem


def test_a_file_that_is_gone_keeps_the_last_good_sites(path: Path) -> None:
    write(path, KEYS[0])
    file, registry = load(path)

    path.unlink()
    file.refresh()
    file.refresh()

    assert registry.by_key(KEYS[0]) is not None
    assert file.problem is not None
    assert "does not exist" in file.problem


def test_a_file_that_is_good_again_ends_the_problem(path: Path) -> None:
    write(path, KEYS[0])
    file, registry = load(path)
    path.unlink()
    file.refresh()
    file.refresh()

    write(path, KEYS[1])
    file.refresh()
    file.refresh()

    assert file.problem is None
    assert registry.by_key(KEYS[1]) is not None


def test_a_file_that_is_wrong_at_the_start_is_an_error(path: Path) -> None:
    registry = SiteRegistry()

    with pytest.raises(SitesFileError):
        SitesFile(path, registry).load()

    assert not registry.is_loaded
