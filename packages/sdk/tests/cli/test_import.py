"""`headwater import`: every event of the file, each of them once."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.cli import _import, main
from headwater.cli._checkpoint import CheckpointFile
from headwater.cli._progress import Progress
from headwater.cli._records import Line, Position, Record, read_csv, read_ndjson
from headwater.testing import FakeServer
from headwater_schema.batch import ErrorAnswer
from headwater_schema.outcomes import ErrorCode

DEADLINE_S = 60


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    with FakeServer() as server:
        monkeypatch.setenv("HEADWATER_HOST", server.url)
        monkeypatch.setenv("HEADWATER_WRITE_KEY", "key")
        yield server


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_import, "_CHUNK_EVENTS", 10)


def event(number: int, **fields: object) -> str:
    return json.dumps({"event": f"e{number}", "distinct_id": f"u{number}", **fields})


def write(path: Path, count: int) -> Path:
    path.write_text(
        "".join(event(n, timestamp=1.6e12 + n) + "\n" for n in range(count))
    )
    return path


def test_events_arrive_with_what_the_file_says_of_them(
    server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = "0193a4e0-0000-7000-8000-000000000001"
    path = tmp_path / "events.ndjson"
    path.write_text(
        event(0, timestamp="2024-05-01T12:00:00", properties={"a": [1]}, event_id=own)
        + "\n\n"
        + event(1, timestamp="2024-05-01T12:00:00+02:00", groups={"company": 7})
        + "\n"
        + event(2, timestamp=1714564800000)
    )
    assert main(["import", str(path)]) == 0
    first, second, third = server.events
    assert first.event_id == own
    assert first.properties == {"a": [1]}
    assert first.timestamp == datetime(2024, 5, 1, 12, tzinfo=UTC)
    assert second.timestamp == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert second.groups == {"company": "7"}
    assert third.timestamp == datetime(2024, 5, 1, 12, tzinfo=UTC)
    assert capsys.readouterr().out == "3 events sent, 0 not\n"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_file_that_is_imported_again_doubles_nothing(
    server: FakeServer, tmp_path: Path
) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text("".join(event(0) + "\n" for _ in range(3)))
    assert main(["import", str(path)]) == 0
    assert len({each.timestamp for each in server.events}) == 1
    assert main(["import", str(path)]) == 0
    assert len(server.events) == 3
    assert server.inbox.repeats == 3


def test_line_that_is_mended_changes_no_other(
    server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text(f"{event(0)}\n{{oops\n{event(2)}\n")
    assert main(["import", str(path)]) == 1
    assert "near line 2" in capsys.readouterr().err
    path.write_text(f"{event(0)}\n{event(1)}\n{event(2)}\n")
    assert main(["import", str(path)]) == 0
    assert sorted(each.event for each in server.events) == ["e0", "e1", "e2"]


@pytest.mark.usefixtures("small_chunks")
def test_interrupted_import_goes_on_where_it_was(
    server: FakeServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(tmp_path / "events.ndjson", 35)
    settle = _import.Import._settle

    def interrupt(self: _import.Import, last: Line) -> None:
        settle(self, last)
        if last.number == 20:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_import.Import, "_settle", interrupt)
        assert main(["import", str(path)]) == 130
    assert "run the same command again" in capsys.readouterr().err
    assert len(server.events) == 20
    assert main(["import", str(path)]) == 0
    printed = capsys.readouterr()
    assert "going on after line 20" in printed.err
    assert printed.out == "35 events sent, 0 not\n"
    assert [each.event for each in server.events] == [f"e{n}" for n in range(35)]
    assert server.inbox.repeats == 0


@pytest.mark.usefixtures("small_chunks")
def test_file_that_was_replaced_begins_anew(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "events.ndjson", 20)
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointFile, "remove", lambda _: None)
        assert main(["import", str(path)]) == 0
    path.write_text("".join(event(n) + "\n" for n in range(100, 130)))
    assert main(["import", str(path)]) == 0
    assert len(server.events) == 50


@pytest.mark.parametrize("chunks", [1, 3])
def test_import_that_is_killed_loses_and_doubles_nothing(
    server: FakeServer, tmp_path: Path, chunks: int
) -> None:
    path = write(tmp_path / "events.ndjson", 40_000)
    command = [sys.executable, "-m", "headwater.cli", "import", str(path)]
    process = subprocess.Popen(command)
    server.wait_for(chunks * 5_000, timeout=DEADLINE_S)
    process.send_signal(signal.SIGKILL)
    process.wait(DEADLINE_S)
    again = subprocess.run(command, timeout=DEADLINE_S, check=True, capture_output=True)
    if chunks > 1:
        assert b"going on after line" in again.stderr
    assert sorted(each.event for each in server.events) == sorted(
        f"e{n}" for n in range(40_000)
    )


def test_service_that_is_away_is_waited_for(server: FakeServer, tmp_path: Path) -> None:
    path = write(tmp_path / "events.ndjson", 5)
    for _ in range(3):
        server.inbox.answer(503, retry_after="0")
    assert main(["import", str(path)]) == 0
    assert len(server.events) == 5


@pytest.mark.usefixtures("small_chunks")
def test_service_that_refuses_stops_the_import_where_it_is(
    server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "events.ndjson", 30)
    body = msgspec.json.encode(ErrorAnswer.of(ErrorCode.UNKNOWN_KEY, "because"))
    server.inbox.answer(401, body)
    assert main(["import", str(path)]) == 1
    assert "stopped before line 1: the server refused" in capsys.readouterr().err
    assert server.inbox.requests == 1
    assert main(["import", str(path)]) == 0
    assert len(server.events) == 30


def test_bad_lines_are_counted_and_the_first_are_shown(
    server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "events.ndjson"
    long = event(0, properties={"x": "y" * 3_000_000})
    bad = ["[]", "{", '{"event": "a"}', event(1, event_id="x"), long, '"\\ud800"']
    bad += [event(2, timestamp="yesterday"), '{"event": "", "distinct_id": "b"}']
    path.write_text("\n".join([*bad, event(3), *["nonsense"] * 20]))
    assert main(["import", str(path)]) == 1
    printed = capsys.readouterr()
    assert printed.out == f"1 events sent, {len(bad) + 20} not\n"
    assert printed.err.count("near line") == 10
    assert "near line 5: the line is longer than" in printed.err


CSV = """\
event,distinct_id,timestamp,amount:number,trial:boolean,tags:json,zip,groups.company
paid,user-1,2024-05-01T12:00:00Z,49.99,true,"[""a"",""b""]",01234,acme
"two
lines",user-2,1714564800000,,,,,
paid,user-3,2024-05-01T12:00:00Z,many,,,,
paid,user-4,2024-05-01T12:00:00Z,1,,,,,,too,many
"""


def test_csv_has_typed_columns(
    server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(b"\xef\xbb\xbf" + CSV.encode())
    assert main(["import", str(path)]) == 1
    paid, two = server.events
    assert paid.properties == {
        "amount": 49.99,
        "trial": True,
        "tags": ["a", "b"],
        "zip": "01234",
    }
    assert paid.groups == {"company": "acme"}
    assert (two.event, two.properties) == ("two\nlines", {})
    printed = capsys.readouterr()
    assert printed.out == "2 events sent, 2 not\n"
    assert "column 'amount' cannot be 'many'" in printed.err
    assert "11 cells, but 8 columns" in printed.err


def lines_of(kind: str, content: bytes, position: Position | None = None) -> list[Line]:
    file = io.BytesIO(content)
    position = position or Position()
    file.seek(position.offset)
    reader = {"csv": read_csv, "ndjson": read_ndjson}[kind]
    return list(reader(file, "name", position))


names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1
)


@given(st.lists(names, min_size=1, max_size=8), st.data())
def test_reading_may_begin_after_any_line(
    found: list[str], data: st.DataObject
) -> None:
    rows = [json.dumps({"event": name, "distinct_id": "u"}) for name in found]
    content = "\n".join(rows).encode()
    whole = lines_of("ndjson", content)
    assert [each.event for each in whole] == [
        Record(event=name, distinct_id="u") for name in found
    ]
    cut = data.draw(st.integers(0, len(whole) - 1))
    begin = Position(whole[cut].end, whole[cut].number)
    assert lines_of("ndjson", content, begin) == whole[cut + 1 :]


@given(st.lists(names, min_size=1, max_size=8), st.data())
def test_reading_csv_may_begin_after_any_record(
    found: list[str], data: st.DataObject
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(
        [["event", "distinct_id"], *([name, "u"] for name in found)]
    )
    content = text.getvalue().encode()
    whole = lines_of("csv", content)
    assert len(whole) == len(found)
    cut = data.draw(st.integers(0, len(whole) - 1))
    begin = Position(whole[cut].end, whole[cut].number)
    assert lines_of("csv", content, begin) == whole[cut + 1 :]


def test_quote_that_is_never_closed_does_not_fill_the_memory() -> None:
    content = b'event,distinct_id\n"open,' + b"x" * 1000 + b"\n" + b"y" * 3_000_000
    found = lines_of("csv", content)
    assert len(found) == 1
    assert "field" in str(found[0].event)


def test_standard_input_can_be_imported(server: FakeServer) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "headwater.cli", "import", "-", "--progress"],
        input=f"{event(0)}\n{event(1)}\n".encode(),
        capture_output=True,
        timeout=DEADLINE_S,
        check=True,
    )
    assert process.stdout == b"2 events sent, 0 not\n"
    assert b"2 events, " in process.stderr
    assert len(server.events) == 2


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_on_a_terminal_and_lines_in_a_log() -> None:
    now = [0.0]
    for stream, every_s in ((Terminal(), 0.2), (io.StringIO(), 10.0)):
        progress = Progress(stream, 1_000_000, 200_000, clock=lambda: now[0])
        progress.tell(300_000, 1)
        assert stream.getvalue() == ""
        now[0] += every_s
        progress.tell(400_000, 2_000, "waiting")
        assert " 40%, 2,000 events, " in stream.getvalue()
        assert "waiting" in stream.getvalue()
        progress.finish(1_000_000, 3_000)
        assert f"[{'#' * 24}] 100%, 3,000 events" in stream.getvalue()
        assert stream.getvalue().endswith("\n")


@pytest.mark.parametrize(
    "left, shown",
    [(50.0, "50 s left"), (600.0, "10 min left"), (36_000.0, "10 h left")],
)
def test_progress_says_how_long_it_takes(left: float, shown: str) -> None:
    now = [0.0]
    stream = Terminal()
    progress = Progress(stream, 2_000, clock=lambda: now[0])
    now[0] += left
    progress.tell(1_000, 1)
    assert shown in stream.getvalue()
