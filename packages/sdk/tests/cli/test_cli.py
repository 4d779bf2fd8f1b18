"""The commands `send`, `doctor` and `schema`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import msgspec
import pytest

from headwater.cli import main
from headwater.cli._doctor import _compare_clocks
from headwater.testing import FakeServer
from headwater_schema.batch import ErrorAnswer
from headwater_schema.outcomes import ErrorCode

DESTINATION = ("HEADWATER_HOST", "HEADWATER_WRITE_KEY")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    with FakeServer() as server:
        monkeypatch.setenv("HEADWATER_HOST", server.url)
        monkeypatch.setenv("HEADWATER_WRITE_KEY", "key")
        yield server


def refuse(server: FakeServer, code: ErrorCode, status: int) -> None:
    body = msgspec.json.encode(ErrorAnswer.of(code, "because"))
    server.inbox.answer(status, body)


def test_event_is_sent_and_its_id_printed(
    server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["-p", "amount=49.99", "-p", "note=a=b", "-g", "company=acme"]
    assert main(["send", "paid", "-d", "user-1", *options]) == 0
    (event,) = server.events
    assert (event.event, event.distinct_id) == ("paid", "user-1")
    assert event.properties == {"amount": 49.99, "note": "a=b"}
    assert event.groups == {"company": "acme"}
    assert capsys.readouterr().out == f"{event.event_id}\n"


def test_event_that_is_refused_is_said_to_be(
    server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(server, ErrorCode.UNKNOWN_KEY, 401)
    assert main(["send", "paid", "-d", "user-1"]) == 1
    assert main(["send", "", "-d", "user-1"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "unknown_key" in printed.err
    assert "event has 0 characters" in printed.err


@pytest.mark.parametrize("command", [["send", "a", "-d", "b"], ["import", "missing"]])
def test_command_without_a_destination_says_what_is_missing(
    command: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in DESTINATION:
        monkeypatch.delenv(variable, raising=False)
    assert main(command) == 1
    assert "write_key must be" in capsys.readouterr().err


def test_command_line_wins_over_the_environment(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWATER_HOST", "http://127.0.0.1:1")
    monkeypatch.setenv("HEADWATER_DISABLED", "1")
    assert main(["send", "paid", "-d", "u", "--host", server.url]) == 0


@pytest.mark.parametrize(
    "arguments", [[], ["send"], ["send", "a", "-d", "b", "-p", "c"]]
)
def test_command_that_cannot_be_understood_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)


def test_doctor_finds_nothing_wrong_where_nothing_is(
    server: FakeServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["doctor", "--spool", str(tmp_path / "spool.db")]) == 0
    printed = capsys.readouterr().out
    assert printed.count("ok ") == len(printed.splitlines())
    assert "write key: it is known" in printed
    assert "clock: " in printed
    assert "is not there yet" in printed
    assert not server.events


@pytest.mark.parametrize(
    "status, body, said",
    [
        (401, ErrorAnswer.of(ErrorCode.UNKNOWN_KEY, "because"), "401 unknown_key"),
        (503, ErrorAnswer.of(ErrorCode.DRAINING, "because"), "not now: 503 draining"),
        (200, {"hello": "world"}, "this is not Headwater"),
    ],
)
def test_doctor_says_what_the_service_says(
    server: FakeServer,
    capsys: pytest.CaptureFixture[str],
    status: int,
    body: object,
    said: str,
) -> None:
    server.inbox.answer(status, msgspec.json.encode(body))
    assert main(["doctor"]) == 1
    assert said in capsys.readouterr().out


def test_doctor_finds_a_service_that_is_not_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor", "--host", "http://127.0.0.1:1", "--write-key", "k"]) == 1
    assert "FAULT  connection: no answer" in capsys.readouterr().out


def test_doctor_finds_wrong_settings_and_a_broken_spool(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    spool = tmp_path / "spool.db"
    spool.write_bytes(b"no database at all" * 100)
    command = ["doctor", "--host", "nowhere", "--write-key", " ", "--spool", str(spool)]
    assert main(command) == 1
    printed = capsys.readouterr().out
    assert printed.count("FAULT  settings") == 2
    assert "FAULT  spool" in printed
    assert spool.exists()


@pytest.mark.parametrize(
    "now, is_well, said",
    [
        (0.0, True, "0 s behind"),
        (300.0, True, "300 s ahead of"),
        (-301.0, False, "301 s behind the service's; times of events are corrected"),
    ],
)
def test_doctor_compares_the_clocks(now: float, is_well: bool, said: str) -> None:  # noqa: FBT001 - of a table
    date = "Sat, 21 Nov 2026 09:30:00 GMT"
    finding = _compare_clocks(date, parsedate_to_datetime(date).timestamp() + now)
    assert finding.is_well == is_well
    assert said in finding.text


MODULE = """
import headwater
class Paid(headwater.Event):
    amount: float
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "shop_events.py").write_text(MODULE)
    (tmp_path / "shop_nothing.py").write_text("")
    monkeypatch.chdir(tmp_path)
    yield "shop_events"
    for name in ("shop_events", "shop_nothing"):
        sys.modules.pop(name, None)


def test_schema_is_printed_or_written_and_checked(
    module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schema", "export", module]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed)["oneOf"][0]["title"] == "Paid"
    target = str(tmp_path / "events.json")
    assert main(["schema", "export", module, "-o", target, "--check"]) == 1
    assert "is stale" in capsys.readouterr().err
    assert main(["schema", "export", module, "-o", target]) == 0
    assert Path(target).read_text() == printed
    assert main(["schema", "export", module, "-o", target, "--check"]) == 0


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["shop_nothing"], "has no subclasses of headwater.Event"),
        (["no_such_module"], "cannot import no_such_module"),
        (["shop_events", "--check"], "--check needs --output"),
    ],
)
def test_schema_says_what_is_wrong(
    module: str, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schema", "export", *arguments]) == 1
    assert said in capsys.readouterr().err
