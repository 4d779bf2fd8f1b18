"""A real redis-server for the tests, on a socket in a directory of its own."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

_COMMAND = "redis-server"
_START_S = 20.0


class RedisServer:
    """A server that can be killed, brought back and made to hang.

    Attributes:
        url: Where it is, over restarts too. It forgets everything then.
        client: A connection past the code under test.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._socket = directory / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self._socket}"
        self.client = Redis.from_url(self.url)

    def start(self) -> None:
        """Starts it and returns when it answers."""
        nothing_on_disk = ["--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [_COMMAND, "--port", "0", "--unixsocket", self._socket, *nothing_on_disk],
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_S
        while not self._answers():
            assert self._process.poll() is None, f"{_COMMAND} has ended"
            assert time.monotonic() < deadline, f"{_COMMAND} does not answer"
            time.sleep(0.02)

    def kill(self) -> None:
        """Ends it with SIGKILL, and forgets the socket that it leaves."""
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._socket.unlink(missing_ok=True)

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Makes it take connections and answer nobody."""
        assert self._process, "it has not been started"
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except (RedisError, OSError):
            return False


@contextmanager
def run_redis() -> Iterator[RedisServer]:
    """Runs a server; without one the test is skipped, or fails if this is CI."""
    if shutil.which(_COMMAND) is None:
        missing = f"NO {_COMMAND.upper()}: run `apt-get install {_COMMAND}`"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    # Not below pytest's directory: a socket's path has room for 107 bytes.
    with tempfile.TemporaryDirectory(prefix="redis-") as directory:
        server = RedisServer(Path(directory))
        try:
            server.start()
            yield server
        finally:
            server.client.close()
            server.kill()
