"""The archive by its public names: what was put in is there once, whatever tears."""

import errno
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from headwater_ingest.archive import (
    ArchiveWriter,
    Keeping,
    erase_rows,
    list_files,
    read_rows,
)
from headwater_ingest.errors import ArchiveDamagedError, ArchiveUnwritableError
from headwater_ingest.rows import Rows, decode_rows, encode_rows

HOUR_MS = 3_600_000
START_MS = round(datetime(2026, 9, 21, 14, tzinfo=UTC).timestamp() * 1000)
KEEPING = Keeping(days=30, max_bytes=1 << 30)


class Clock:
    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def make_writer(directory: Path, clock: Clock) -> Callable[..., ArchiveWriter]:
    return lambda keeping=KEEPING: ArchiveWriter(directory, keeping, clock_ms=clock)


def blob(*ids: int, at_ms: int = START_MS, who: str = "a") -> bytes:
    constants = {"received_at": at_ms, "distinct_id": who, "site_id": 7}
    return encode_rows(Rows([UUID(int=each).bytes for each in ids], constants, {}))


def put(writer: ArchiveWriter, token: str, *blobs: bytes) -> None:
    writer.append(token, blobs, [decode_rows(each) for each in blobs])


def found(directory: Path, from_ms: int = 0, to_ms: int = 1 << 60) -> list[int]:
    return [
        int.from_bytes(each)
        for path in list_files(directory)
        for rows in read_rows(path, from_ms, to_ms)
        for each in rows.event_id
    ]


def test_rows_are_in_a_file_of_their_hour(
    directory: Path, clock: Clock, make_writer: Callable[..., ArchiveWriter]
) -> None:
    writer = make_writer()
    put(writer, "a", blob(1, 2), blob(3))
    put(writer, "b", blob(4))
    clock.now_ms += HOUR_MS
    put(writer, "c", blob(5))

    assert [each.name for each in list_files(directory)] == [
        "2026-09-21T14.zst",
        "2026-09-21T15.zst",
    ]
    assert found(directory) == [1, 2, 3, 4, 5]
    assert list_files(directory)[0].stat().st_mode & 0o777 == 0o600


def test_rows_are_found_by_the_time_at_which_they_were_received(
    directory: Path, make_writer: Callable[..., ArchiveWriter]
) -> None:
    times = [START_MS + each for each in (0, 10, 20, 30)]
    ids = [UUID(int=each).bytes for each in range(4)]
    writer = make_writer()
    put(writer, "a", encode_rows(Rows(ids, {}, {"received_at": times})))
    put(writer, "b", blob(4, at_ms=START_MS + 20), blob(5, at_ms=START_MS + 40))

    assert found(directory, START_MS + 10, START_MS + 30) == [1, 2, 4]
    assert found(directory, START_MS + 41, START_MS + 99) == []


def test_a_block_that_comes_again_after_a_crash_is_not_archived_twice(
    directory: Path, make_writer: Callable[..., ArchiveWriter]
) -> None:
    writer = make_writer()
    put(writer, "a", blob(1))
    put(writer, "b", blob(2))
    put(writer, "b", blob(2))

    put(make_writer(), "b", blob(2))

    assert found(directory) == [1, 2]


@pytest.mark.parametrize("torn", range(1, 100, 7))
def test_a_torn_end_costs_nothing_that_was_whole(
    directory: Path, make_writer: Callable[..., ArchiveWriter], torn: int
) -> None:
    put(make_writer(), "a", blob(1))
    [path] = list_files(directory)
    whole = path.stat().st_size
    put(make_writer(), "b", blob(2))
    assert path.stat().st_size - whole >= torn
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - torn)

    assert found(directory) == [1]
    put(make_writer(), "b", blob(2))
    put(make_writer(), "c", blob(3))

    assert found(directory) == [1, 2, 3]


def test_what_was_damaged_in_between_is_told(
    directory: Path, make_writer: Callable[..., ArchiveWriter]
) -> None:
    put(make_writer(), "a", blob(1, 2, 3))
    [path] = list_files(directory)
    content = bytearray(path.read_bytes())
    content[-20] ^= 0xFF
    path.write_bytes(content)

    with pytest.raises(ArchiveDamagedError, match=r"2026-09-21T14\.zst"):
        found(directory)


def test_a_clock_that_is_set_back_goes_on_in_the_newest_file(
    directory: Path, clock: Clock, make_writer: Callable[..., ArchiveWriter]
) -> None:
    put(make_writer(), "a", blob(1))
    clock.now_ms -= 5 * HOUR_MS
    put(make_writer(), "b", blob(2))

    assert len(list_files(directory)) == 1
    assert found(directory) == [1, 2]


def test_files_that_are_too_old_are_deleted(
    directory: Path, clock: Clock, make_writer: Callable[..., ArchiveWriter]
) -> None:
    writer = make_writer(Keeping(days=1, max_bytes=1 << 30))
    for token in range(30):
        put(writer, str(token), blob(token))
        clock.now_ms += HOUR_MS

    assert found(directory) == [*range(5, 30)]


def test_the_oldest_files_are_deleted_when_there_is_too_much(
    directory: Path, clock: Clock, make_writer: Callable[..., ArchiveWriter]
) -> None:
    put(make_writer(), "0", blob(0))
    size = list_files(directory)[0].stat().st_size
    writer = make_writer(Keeping(days=99, max_bytes=3 * size))
    for token in range(1, 6):
        clock.now_ms += HOUR_MS
        put(writer, str(token), blob(token))

    assert found(directory)[-1] == 5
    assert 2 <= len(found(directory)) <= 4


def test_rows_are_erased_and_the_writer_goes_on(
    directory: Path, clock: Clock, make_writer: Callable[..., ArchiveWriter]
) -> None:
    writer = make_writer()
    put(writer, "a", blob(1, 2), blob(3, who="b"))
    clock.now_ms += HOUR_MS
    put(writer, "b", blob(4, who="b"))
    put(writer, "c", blob(5))

    def of_a(rows: Rows) -> range:
        is_a = rows.constants["distinct_id"] == "a"
        return range(len(rows.event_id) if is_a else 0)

    assert erase_rows(directory, of_a) == 3
    assert found(directory) == [3, 4]
    put(writer, "c", blob(5))  # its block was not let go before the crash
    put(writer, "d", blob(6))
    assert found(directory) == [3, 4, 6]
    assert erase_rows(directory, of_a) == 1
    assert {each.suffix for each in directory.iterdir()} == {".zst", ""}


def test_a_disk_that_refuses_is_told_and_the_next_append_mends_what_it_left(
    directory: Path,
    make_writer: Callable[..., ArchiveWriter],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = make_writer()
    put(writer, "a", blob(1))

    def refuse(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", refuse)
        with pytest.raises(ArchiveUnwritableError, match="No space left"):
            put(writer, "b", blob(2))
    put(writer, "b", blob(2))

    assert found(directory) == [1, 2]


def test_erasing_where_there_is_no_archive_is_no_work(directory: Path) -> None:
    assert erase_rows(directory, lambda _: []) == 0
    assert not directory.exists()
