"""Real processes: started with a log file, watched, and gone at the end of the test."""

import atexit
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Literal, NamedTuple

from tests.e2e.support.waiting import wait_for

INGEST = str(Path(sys.executable).with_name("headwater-ingest"))
TRACEBACK = "Traceback (most recent call last)"

_PREFIX = "HEADWATER_"
_STOP_S = 20.0


def clean_environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns our environment, with these and no other settings of Headwater."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_PREFIX)
    }
    given = {_PREFIX + key.upper(): value for key, value in (settings or {}).items()}
    return kept | given


class Process:
    """A child process, both of whose outputs go to one log file."""

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = log.stem
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8", errors="replace")

    def poll(self) -> int | None:
        return self._process.poll()

    def wait(self, timeout_s: float = _STOP_S) -> int:
        """Returns the exit code, once there is one."""
        wait_for(
            lambda: self.poll() is not None,
            what=f"the end of {self.name}",
            timeout_s=timeout_s,
        )
        return self._process.returncode

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Ends it at once, with SIGKILL; what it started is left to itself."""
        self._process.kill()
        self._process.wait(_STOP_S)

    def kill_family(self) -> None:
        """Ends it and the children that it has, with SIGKILL."""
        children = find_children(self.pid)
        self.kill()
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


_REAP = """
import os, signal, sys
started = set()
for line in sys.stdin:
    sign, pid = line[0], int(line[1:])
    started.add(pid) if sign == "+" else started.discard(pid)
for pid in started:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


@cache
def _reaper() -> IO[str]:
    """Starts what ends the processes of tests that were ended without a clean-up.

    It lives until we are gone, however that happens: then the pipe to it closes.
    """
    reaper = subprocess.Popen(
        [sys.executable, "-c", _REAP],
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    atexit.register(reaper.communicate)
    assert reaper.stdin
    return reaper.stdin


def _tell_reaper(sign: Literal["+", "-"], pid: int) -> None:
    print(f"{sign}{pid}", file=_reaper(), flush=True)


@dataclass(slots=True)
class Processes:
    """All processes of a test."""

    directory: Path
    started: list[Process] = field(default_factory=list)

    def start(
        self, command: Sequence[str], *, name: str, environment: Mapping[str, str]
    ) -> Process:
        """Starts a process whose log file has `name`."""
        log = self.directory / f"{name}.log"
        process = Process(command, environment=environment, log=log)
        self.started.append(process)
        _tell_reaper("+", process.pid)
        return process

    def kill_all(self) -> None:
        """Ends whatever still runs, and the children that it has."""
        for process in self.started:
            if process.poll() is None:
                process.kill_family()
            _tell_reaper("-", process.pid)

    def logs(self) -> dict[str, str]:
        """Returns the text of every log by its name."""
        return {process.name: process.log for process in self.started}

    def check_logs(self) -> None:
        """Asserts that nobody has printed a traceback."""
        faulty = [name for name, log in self.logs().items() if TRACEBACK in log]
        assert not faulty, f"there is a traceback in the log of {', '.join(faulty)}"


def find_children(pid: int, command: str = "") -> list[int]:
    """Returns the direct children of a process whose command line has a text in it."""
    return [
        each.pid
        for each in _list_processes()
        if each.parent == pid and command in each.command
    ]


def find_child(pid: int, command: str) -> int:
    """Returns the one child of a process with a text in its command line.

    It is waited for, since it may be just starting.
    """
    found = wait_for(
        lambda: find_children(pid, command),
        what=f"a child of {pid} with {command!r} in its command line",
    )
    [child] = found
    return child


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody asked for does not."""
    return any(each.pid == pid for each in _list_processes())


class _Listed(NamedTuple):
    pid: int
    parent: int
    command: str


def _list_processes() -> list[_Listed]:
    listing = subprocess.run(
        ["ps", "-axwwo", "pid=,ppid=,stat=,command="],
        check=True,
        capture_output=True,
        text=True,
    )
    lines = [line.split(None, 3) for line in listing.stdout.splitlines()]
    return [
        _Listed(int(pid), int(parent), command)
        for pid, parent, state, command in lines
        if not state.startswith("Z")
    ]
