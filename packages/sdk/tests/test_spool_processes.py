"""Clients with a spool, in processes of their own that end in every way."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater import Client
from headwater.testing import FakeServer

DEADLINE_S = 60.0

PROLOGUE = """
import os, sqlite3, sys, time
from headwater import Client
url, path, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
options = {"max_retries": 0, "flush_interval": 0.05, "exit_timeout": 30}
client = Client("key", url, spool=path, **options)
def capture(count):
    for number in range(first, first + count):
        client.capture("user-1", f"e{number}")
def wait_for_disk(count):
    deadline = time.monotonic() + 60
    while True:
        try:
            with sqlite3.connect(path) as file:
                (found,) = file.execute("SELECT sum(count) FROM batches").fetchone()
            if found == count:
                return
        except sqlite3.OperationalError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.02)
"""


class Programs:
    """Starts programs that share a spool."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.running: list[subprocess.Popen[str]] = []

    def start(self, url: str, code: str, first: int = 0) -> subprocess.Popen[str]:
        script = PROLOGUE + code
        command = [sys.executable, "-c", script, url, str(self.path), str(first)]
        program = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.running.append(program)
        return program

    def end_all(self) -> None:
        for program in self.running:
            program.kill()
            program.communicate()


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    programs = Programs(tmp_path / "spool.db")
    yield programs
    programs.end_all()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


def refuse_for_now(server: FakeServer, times: int) -> None:
    for _ in range(times):
        server.inbox.answer(503, retry_after="300")


def deliver(server: FakeServer, path: Path, count: int) -> list[str]:
    """Starts a client on the spool and returns what the server has then."""
    with Client("key", server.url, spool=path):
        return [event.event for event in server.wait_for(count, DEADLINE_S)]


def test_events_of_an_exit_without_server_are_sent_by_the_next_start(
    server: FakeServer, programs: Programs
) -> None:
    refuse_for_now(server, 3)
    assert programs.start(server.url, "capture(250)").wait(DEADLINE_S) == 0
    assert not server.events
    server.inbox.recover()
    names = deliver(server, programs.path, 250)
    assert names == [f"e{number}" for number in range(250)]
    assert server.inbox.repeats == 0


def test_events_on_disk_survive_a_kill_and_arrive_once(
    server: FakeServer, programs: Programs
) -> None:
    refuse_for_now(server, 3)
    program = programs.start(
        server.url,
        "capture(500); wait_for_disk(500); print('there', flush=True); time.sleep(60)",
    )
    assert program.stdout
    assert program.stdout.readline() == "there\n"
    program.send_signal(signal.SIGKILL)
    program.wait(DEADLINE_S)
    server.inbox.recover()
    names = deliver(server, programs.path, 500)
    assert names == [f"e{number}" for number in range(500)]
    assert server.inbox.repeats == 0


def test_kill_between_answer_and_note_makes_a_repeat_that_is_recognised(
    server: FakeServer, programs: Programs
) -> None:
    refuse_for_now(server, 1)
    assert programs.start(server.url, "capture(100)").wait(DEADLINE_S) == 0
    server.inbox.recover()
    # It has sent everything, and is killed before the file can know.
    killer = """
from headwater._spool import DiskSpool
DiskSpool.done = lambda *_: os.kill(os.getpid(), 9)
time.sleep(60)
"""
    program = programs.start(server.url, killer)
    server.wait_for(100, DEADLINE_S)
    assert program.wait(DEADLINE_S) == -signal.SIGKILL
    with Client("key", server.url, spool=programs.path) as client:
        client.flush(DEADLINE_S)
        while not client.stats().delivered:
            client.flush(DEADLINE_S)
    assert len(server.events) == 100
    assert server.inbox.repeats == 100


def test_processes_that_start_together_share_what_there_is(
    server: FakeServer, programs: Programs
) -> None:
    refuse_for_now(server, 20)
    for first in (0, 1_000, 2_000):
        program = programs.start(server.url, "capture(300)", first)
        assert program.wait(DEADLINE_S) == 0
    server.inbox.recover()
    for first in (5_000, 6_000):
        programs.start(server.url, "capture(10); time.sleep(60)", first)
    names = [event.event for event in server.wait_for(920, DEADLINE_S)]
    assert len(set(names)) == 920
    assert server.inbox.repeats == 0
