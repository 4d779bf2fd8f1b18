"""One run of the embedded ClickHouse, seen from the process that owns it."""

import importlib.util
import re
import selectors
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from headwater_ingest.clickhouse.embedded import child
from headwater_ingest.clickhouse.embedded.directory import EmbeddedDirectory, Ports
from headwater_ingest.errors import (
    EmbeddedNotInstalledError,
    EmbeddedStartError,
    PortInUseError,
)

_STOP = b"stop\n"
_MAX_LOG_BYTES = 1_000_000
_TAIL_LINES = 12
_PORT_TAKEN = re.compile(r"Listen \[[^]]*\]:(\d+) failed.*in use")


def check_installed() -> None:
    """Refuse to go on without the package that holds ClickHouse.

    Raises:
        EmbeddedNotInstalledError: Saying how to install it.
    """
    if importlib.util.find_spec("chdb") is None:
        raise EmbeddedNotInstalledError(
            "the embedded ClickHouse is not installed: run `pip install --no-deps "
            "chdb-core`, or set HEADWATER_CLICKHOUSE_URL to a server of your own"
        )


class ServerProcess:
    """A child process that runs ClickHouse. Used by one thread, but for the stops.

    `ask_to_stop` and `kill` may be called from any thread while another one waits.
    """

    def __init__(self, directory: EmbeddedDirectory, *, lock_fd: int) -> None:
        self._directory = directory
        self._log_start = _trim(directory.child_log)
        with directory.child_log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own file
                [sys.executable, "-P", child.__file__, str(directory.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                pass_fds=(lock_fd,),
                start_new_session=True,  # Ctrl-C at the terminal is the owner's alone
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def wait_ready(self, timeout_s: float) -> Ports:
        """Wait until it listens.

        Raises:
            PortInUseError: It ended because of that.
            EmbeddedStartError: It ended, or is not ready in time.
        """
        line = self._read_announcement(time.monotonic() + timeout_s)
        if line.endswith(b"\n"):
            tcp, http = map(int, line.split())
            return Ports(tcp, http)
        if self.wait(1.0) is None:
            raise self._failure(f"is not ready after {timeout_s:g} s")
        taken = _PORT_TAKEN.search(self._log_text())
        if taken:
            port = int(taken[1])
            raise PortInUseError(
                port,
                f"port {port} is in use by another process: give the embedded "
                "ClickHouse another port, or none to have it take a free one",
            )
        raise self._failure(f"ended while it started (exit code {self.wait(0)})")

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait for the end; return the exit code, or None if the time is up."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def ask_to_stop(self) -> None:
        """Ask it to end; with clients still connected that takes it five seconds."""
        if self._process.stdin:
            # Either error means that it has ended by itself.
            with suppress(BrokenPipeError, ValueError):
                self._process.stdin.write(_STOP)

    def kill(self) -> None:
        """End it at once. What ClickHouse acknowledged is safe."""
        self._process.kill()

    def close(self) -> None:
        """Give the pipes back, once the process has ended."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def _read_announcement(self, deadline: float) -> bytes:
        """Read up to the end of a line, the end of the pipe, or the deadline."""
        pipe = self._process.stdout
        assert pipe is not None  # noqa: S101 - it was opened as a pipe
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(deadline - time.monotonic()):
                    break
                piece = pipe.read(64)
                if not piece:
                    break
                line += piece
        return line

    def _failure(self, what: str) -> EmbeddedStartError:
        lines = self._log_text().splitlines()[-_TAIL_LINES:]
        tail = "".join(f"\n    {line}" for line in lines)
        return EmbeddedStartError(
            f"the embedded ClickHouse {what}; {self._directory.child_log} ends with:"
            f"{tail or ' nothing'}"
        )

    def _log_text(self) -> str:
        with self._directory.child_log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")


def _trim(log: Path) -> int:
    """Empty a log that has grown too big, and return its size."""
    size = log.stat().st_size if log.exists() else 0
    if size <= _MAX_LOG_BYTES:
        return size
    log.write_bytes(b"")
    return 0
