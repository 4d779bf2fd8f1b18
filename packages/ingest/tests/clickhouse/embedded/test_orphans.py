"""What happens to the server when its owner is gone without a word."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from headwater_ingest.clickhouse.client import connect
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse, find_running

pytestmark = pytest.mark.clickhouse

OWNER = """
import os, sys, time
from pathlib import Path
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.telemetry.logs import configure_logs
configure_logs("error", "json")
server = EmbeddedClickHouse(Path(sys.argv[1]))
server.start()
heir = os.fork() if sys.argv[2] == "fork" else 0
if heir or sys.argv[2] != "fork":
    print(server.pid, heir, flush=True)
time.sleep(600)
"""


StartOwner = Callable[[Path, str], tuple[subprocess.Popen[str], int, int]]


@pytest.fixture
def start_owner() -> Iterator[StartOwner]:
    """Start an owner; return it with the ids of its server and of its fork."""
    with ExitStack() as cleanup:

        def start(path: Path, heirs: str) -> tuple[subprocess.Popen[str], int, int]:
            owner = subprocess.Popen(
                [sys.executable, "-c", OWNER, str(path), heirs],
                stdout=subprocess.PIPE,
                text=True,
            )
            cleanup.enter_context(owner)
            cleanup.callback(owner.kill)
            assert owner.stdout is not None
            pid, heir = map(int, owner.stdout.readline().split())
            if heir:
                cleanup.callback(os.kill, heir, signal.SIGKILL)
            return owner, pid, heir

        yield start


@pytest.mark.parametrize("heirs", ["none", "fork"])
def test_the_server_ends_with_an_owner_that_is_killed(
    tmp_path: Path,
    start_owner: StartOwner,
    heirs: str,
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    """With a fork of the owner alive, the pipe to the server stays open."""
    owner, pid, _ = start_owner(tmp_path, heirs)
    owner.kill()
    owner.wait()

    eventually(lambda: is_gone(pid))


def test_the_directory_of_an_owner_that_was_killed_can_be_used_at_once(
    tmp_path: Path,
    start_owner: StartOwner,
    make_server: Callable[..., EmbeddedClickHouse],
) -> None:
    """Even while a client of the old server holds its connection open."""
    owner, _, _ = start_owner(tmp_path, "none")
    url = find_running(tmp_path)
    assert url is not None
    with connect(url.without_database()):
        owner.kill()
        server = make_server(tmp_path)
        server.start()

    assert server.alive


def is_gone(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return False
    return True
