"""The demo as a newcomer meets it: run, read, copied from, stopped."""

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path

import msgspec
import pytest
from examples.demo import Comparison, compare
from tests.e2e.support.processes import Process, Processes, clean_environment, is_alive
from tests.e2e.support.waiting import wait_for

ROOT = Path(__file__).parent.parent.parent
DEMO = [sys.executable, "-m", "examples.demo"]
PROMPT = "until you press Ctrl-C"

# A demo whose comparison is told of one row less, and of another one twice.
SABOTAGED = """
import examples.demo as demo
honest = demo.compare
demo.compare = lambda sent, stored: honest(sent, [*stored[1:], stored[-1]])
demo.main()
"""

# A demo whose port seems to be free when it looks.
LOSES_THE_PORT = """
import examples.demo as demo, examples.demo_service as service
service._is_free = lambda port: True
service.PORT = demo.PORT = {port}
demo.main()
"""


@pytest.fixture(autouse=True)
def _from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def run(
    command: Sequence[str], directory: Path, *more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, "--directory", str(directory), *more],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def start(processes: Processes, directory: Path) -> Process:
    """Starts a demo and returns when it waits for Ctrl-C."""
    demo = processes.start(
        [*DEMO, "--directory", str(directory)],
        name="demo",
        environment=clean_environment(),
    )

    def is_waiting() -> bool:
        assert demo.poll() is None, demo.log
        return "PrettyCompact" in demo.log

    wait_for(is_waiting, what="the demo to have shown all", timeout_s=60)
    return demo


def test_once_ends_with_tables_and_status_0(tmp_path: Path) -> None:
    done = run(DEMO, tmp_path, "--once")

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    sent = read_count(done.stdout, r"([\d,]+) events sent, each of them in ClickHouse")
    assert sent > 2_000
    by_name = read_table(done.stdout, "Event")
    assert {"pageview", "signed_up", "order_completed", "$identify"} <= by_name.keys()
    assert by_name.pop("all") == sent == sum(by_name.values())
    by_minute = read_table(done.stdout, "Minute")
    assert len(by_minute) in {10, 11}
    assert sum(by_minute.values()) == sent
    assert read_table(done.stdout, "Service") == {
        "accepted": sent,
        "duplicates": 0,
        "dropped": 0,
        "invalid": 0,
    }
    assert PROMPT not in done.stdout
    assert "exactly once" in done.stdout.splitlines()[-1]

    again = run(DEMO, tmp_path, "--once", "--keep")

    assert again.returncode == 0, again.stdout + again.stderr
    assert read_table(again.stdout, "Event")["all"] > sent, "the first is still there"


def test_once_fails_when_an_event_is_missing_or_doubled(tmp_path: Path) -> None:
    done = run([sys.executable, "-c", SABOTAGED], tmp_path, "--once")

    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr == ""
    last = done.stdout.splitlines()[-1]
    assert re.search(r"1 missing \([0-9a-f-]{36}\)", last)
    assert re.search(r"1 there more than once \([0-9a-f-]{36}\)", last)


def test_a_port_that_is_lost_while_the_service_starts_is_not_needed(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        script = LOSES_THE_PORT.format(port=port)
        done = run([sys.executable, "-c", script], tmp_path, "--once")

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{port} was taken" in done.stdout


def test_a_comparison_finds_what_is_missing_and_what_is_doubled() -> None:
    assert compare(["a", "b"], ["b", "a", "another"]) == Comparison(2, [], [])
    assert compare(["a", "b", "c"], ["a", "c", "c"]) == Comparison(3, ["b"], ["c"])
    assert compare(["a", "b"], []) == Comparison(2, ["a", "b"], [])
    assert compare(["a", "b"], ["a", "b"]).is_exact
    assert not compare(["a"], []).is_exact
    assert not compare(["a"], ["a", "a"]).is_exact


def test_what_it_prints_can_be_copied_and_run(
    processes: Processes, tmp_path: Path
) -> None:
    if not shutil.which("curl"):
        pytest.skip("curl is not installed, and the demo shows a curl command")
    with take_port(8080):
        demo = start(processes, tmp_path)
    assert "8080 was taken" in demo.log
    send_by_curl, send_by_python, query = read_code(demo.log)

    told = shell(send_by_curl)
    assert msgspec.json.decode(told)["data"]["accepted"] == 1
    told = shell(send_by_curl)
    assert msgspec.json.decode(told)["data"]["duplicates"] == 1, "as the demo says"
    subprocess.run([sys.executable, "-c", send_by_python], check=True, timeout=30)

    def both_are_there() -> bool:
        table = shell(query)
        return "{'from':'curl'}" in table and "{'from':'Python'}" in table

    wait_for(both_are_there, what="both events in the answer to the query")
    assert len(send_by_python.splitlines()) == 3
    stop_with_ctrl_c(demo, tmp_path)


def test_sigterm_in_the_middle_stops_everything(
    processes: Processes, tmp_path: Path
) -> None:
    demo = processes.start(
        [*DEMO, "--directory", str(tmp_path)],
        name="demo",
        environment=clean_environment(),
    )
    file = tmp_path / "data" / "service.json"
    wait_for(file.exists, what="the service to listen")
    pid = msgspec.json.decode(file.read_bytes())["pid"]

    demo.terminate()

    assert demo.wait() == 130
    assert not is_alive(pid)


def test_a_second_demo_leaves_the_first_alone(
    processes: Processes, tmp_path: Path
) -> None:
    demo = start(processes, tmp_path)

    same = run(DEMO, tmp_path, "--once")

    assert same.returncode == 1
    assert same.stderr == "Error: another demo is running: stop it first\n"
    stop_with_ctrl_c(demo, tmp_path)


def stop_with_ctrl_c(demo: Process, directory: Path) -> None:
    """Asserts that Ctrl-C ends the demo and the service, in order."""
    told = msgspec.json.decode((directory / "data" / "service.json").read_bytes())

    demo.interrupt()

    assert demo.wait() == 0, demo.log
    assert demo.log.splitlines()[-1].strip().startswith("Stopped.")
    assert not is_alive(told["pid"])
    with closing(socket.socket()) as probe:
        assert probe.connect_ex(("127.0.0.1", told["port"])) != 0


def take_port(port: int) -> AbstractContextManager[object]:
    """Listens on a port, if nobody else does."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return nullcontext()


def shell(command: str) -> str:
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout


def read_count(text: str, pattern: str) -> int:
    match = re.search(pattern, text)
    assert match, text
    return int(match[1].replace(",", ""))


def read_table(text: str, title: str) -> dict[str, int]:
    """Returns the first two columns of the table whose head begins with a title."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.split()[:2] == [title, "events"]:
            break
    table = {}
    for line in lines:
        if not line.strip():
            break
        name, count, *_ = line.split()
        table[name] = int(count.replace(",", ""))
    return table


def read_code(text: str) -> list[str]:
    """Returns what is shown to be copied: the blocks that are set in by four."""
    blocks = re.findall(r"(?:^ {4}.*\n?)+", text[text.index(PROMPT) :], re.MULTILINE)
    return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE) for block in blocks]
