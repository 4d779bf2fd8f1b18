import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from headwater_ingest.visitors.salts import DaySalt
from headwater_ingest.visitors.salts_file import FILE_NAME, read_salts, write_salts

SALTS = (
    DaySalt(20_778, bytes(range(16)), is_local=False, fixed_at_ms=5),
    DaySalt(20_779, b"\xff" * 16, is_local=True, fixed_at_ms=6),
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_salts(tmp_path, SALTS)

    assert read_salts(tmp_path) == SALTS


def test_the_file_is_written_anew_and_for_its_owner(tmp_path: Path) -> None:
    (tmp_path / f"{FILE_NAME}.new").write_text("left by a crash")
    write_salts(tmp_path, SALTS)
    write_salts(tmp_path, SALTS[1:])

    (path,) = tmp_path.iterdir()
    assert read_salts(tmp_path) == SALTS[1:]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_there_are_none_before_the_first_writing(tmp_path: Path) -> None:
    with capture_logs() as logs:
        assert read_salts(tmp_path) == ()

    assert logs == []


@pytest.mark.parametrize("content", [b"", b"[", b'[{"day": "today"}]'])
def test_a_damaged_file_is_told_and_passed_over(content: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)

    with capture_logs() as logs:
        assert read_salts(tmp_path) == ()

    assert [line["event"] for line in logs] == ["salts unreadable"]
