import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from headwater_ingest.sites.known_sites import FILE_NAME, KnownSites
from headwater_ingest.sites.record import SiteRecord, WriteKey

KEY = "hw_0123456789abcdef"
KNOWN = KnownSites(
    (SiteRecord(id=2**64 - 1, domain="a.example", write_keys=(WriteKey.of(KEY),)),),
    in_file=(2**64 - 1,),
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    KnownSites().write(tmp_path)
    KNOWN.write(tmp_path)

    assert KnownSites.read(tmp_path) == KNOWN


def test_the_file_is_for_its_owner_and_holds_no_key(tmp_path: Path) -> None:
    (tmp_path / f"{FILE_NAME}.new").write_text("left by a crash")

    KNOWN.write(tmp_path)

    (path,) = tmp_path.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KEY not in path.read_text()


def test_nothing_is_known_before_the_first_writing(tmp_path: Path) -> None:
    with capture_logs() as logs:
        assert KnownSites.read(tmp_path) == KnownSites()

    assert logs == []


@pytest.mark.parametrize("content", [b"", b"{", b'{"records": 1}'])
def test_a_damaged_file_is_told_and_passed_over(content: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)

    with capture_logs() as logs:
        assert KnownSites.read(tmp_path) == KnownSites()

    assert [line["event"] for line in logs] == ["known sites unreadable"]
