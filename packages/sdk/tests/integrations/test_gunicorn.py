"""A real gunicorn that loads the application before it forks its workers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from headwater.testing import FakeServer

_DEADLINE_S = 30.0

APPLICATION = """
import os
from urllib.parse import parse_qs

import headwater
from headwater.integrations.wsgi import HeadwaterMiddleware

headwater.init(flush_interval=60, exit_timeout=30)
headwater.capture("master", "loaded", {"pid": os.getpid()})


def page(environ, start_response):
    number = int(environ["PATH_INFO"].strip("/"))
    headwater.capture("user", "seen", {"pid": os.getpid(), "number": number})
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


app = HeadwaterMiddleware(page)
"""


@pytest.fixture
def listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def _start(
    directory: Path, listener: socket.socket, host: str
) -> subprocess.Popen[bytes]:
    (directory / "shop.py").write_text(APPLICATION)
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "--preload", "--workers", "2"),
            *("--bind", f"fd://{listener.fileno()}", "--no-control-socket", "shop:app"),
        ],
        cwd=directory,
        env={**os.environ, "HEADWATER_HOST": host, "HEADWATER_WRITE_KEY": "key"},
        pass_fds=[listener.fileno()],
    )


def _answers_of_both(url: str) -> dict[int, int]:
    """Asks until both workers have answered: the number of each request, and who."""
    answers: dict[int, int] = {}
    deadline = time.monotonic() + _DEADLINE_S
    while len(set(answers.values())) < 2 or len(answers) < 20:
        assert time.monotonic() < deadline, f"only one worker answers: {answers}"
        number = len(answers)
        with urllib.request.urlopen(f"{url}/{number}", timeout=_DEADLINE_S) as answer:
            answers[number] = int(answer.read())
    return answers


def test_gunicorn_with_preload_delivers_each_event_once_at_sigterm(
    tmp_path: Path, listener: socket.socket
) -> None:
    with listener, FakeServer() as server:
        master = _start(tmp_path, listener, server.url)
        try:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            answers = _answers_of_both(url)
            assert not server.events
            master.send_signal(signal.SIGTERM)
            assert master.wait(_DEADLINE_S) == 0
        finally:
            master.kill()
            master.wait()
        sent = [(event.event, event.properties["pid"]) for event in server.events]
        seen = {
            event.properties["number"]: event.properties["pid"]
            for event in server.events
            if event.event == "seen"
        }
    # The workers have not sent what the master had captured before it made them.
    assert sent.count(("loaded", master.pid)) == 1
    assert seen == answers
    assert len(sent) == 1 + len(answers)
    assert server.inbox.repeats == 0
