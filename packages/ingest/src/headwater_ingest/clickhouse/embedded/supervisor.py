"""Keeps one embedded ClickHouse alive, on one directory and one pair of ports."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from headwater_ingest.clickhouse.embedded.directory import (
    DirectoryLock,
    EmbeddedDirectory,
    Ports,
)
from headwater_ingest.clickhouse.embedded.process import ServerProcess, check_installed
from headwater_ingest.clickhouse.url import ClickHouseUrl
from headwater_ingest.errors import EmbeddedClickHouseError

_log = structlog.stdlib.get_logger(__name__)

DEFAULT_MAX_MEMORY_BYTES = 2 * 1024**3

_LOCK_TIMEOUT_S = 3.0
_START_TIMEOUT_S = 30.0
_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 5.0
# A run of this length counts as a recovery: the next death is answered at once again.
_STEADY_S = 30.0


class EmbeddedClickHouse:
    """A ClickHouse server in a child process, started again whenever it dies.

    `start` and `stop` belong to one thread; the rest may be read from any. The lock
    guards `_process` and `_stopping` together, so that no run starts after a stop.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_memory_bytes: int = DEFAULT_MAX_MEMORY_BYTES,
        tcp_port: int = 0,
        http_port: int = 0,
    ) -> None:
        """Describe the server; nothing happens before `start`.

        Args:
            directory: Where it lives; created if missing. No other process may use it.
            max_memory_bytes: Queries fail with code 241 beyond this; the server lives.
            tcp_port: Port of the native protocol; 0 takes a free one, and keeps it
                until `stop`.
            http_port: The same for HTTP.
        """
        self._directory = EmbeddedDirectory(directory.resolve())
        self._max_memory_bytes = max_memory_bytes
        self._wanted_ports = self._ports = Ports(tcp_port, http_port)
        self._directory_lock: DirectoryLock | None = None
        self._lock = threading.Lock()
        self._process: ServerProcess | None = None
        self._stopping = threading.Event()
        self._supervisor: threading.Thread | None = None
        self._alive = False
        self._restarts = 0

    @property
    def url(self) -> ClickHouseUrl:
        """Where to reach it. Stays the same from `start` to `stop`."""
        return self._directory.url(self._ports)

    @property
    def http_port(self) -> int:
        """Port of ClickHouse's HTTP interface, with the same login."""
        return self._ports.http

    @property
    def directory(self) -> EmbeddedDirectory:
        """Its files."""
        return self._directory

    @property
    def pid(self) -> int | None:
        """Process id of the run that is up, if one is."""
        process = self._process
        return process.pid if process and self._alive else None

    @property
    def alive(self) -> bool:
        """Whether it takes connections now, as far as its owner knows."""
        return self._alive

    @property
    def restarts(self) -> int:
        """How many times it was up again after it had died."""
        return self._restarts

    def start(self, *, timeout_s: float = _START_TIMEOUT_S) -> None:
        """Start it, and return once it takes connections.

        Args:
            timeout_s: Longest wait until it listens, here and after each death.

        Raises:
            EmbeddedNotInstalledError: ``chdb-core`` is missing.
            DataDirectoryInUseError: Another process has the directory.
            PortInUseError: A port that was asked for is taken.
            EmbeddedStartError: It ended, or was not ready in time.
        """
        if self._supervisor is not None:
            raise RuntimeError("the embedded ClickHouse has been started already")
        check_installed()
        self._directory_lock = DirectoryLock.take(
            self._directory, timeout_s=_LOCK_TIMEOUT_S
        )
        self._stopping.clear()
        try:
            self._directory.forget_ports()
            self._run(timeout_s)
        except BaseException:
            self._release()
            raise
        self._alive = True
        self._supervisor = threading.Thread(
            target=self._supervise,
            args=(timeout_s,),
            name="embedded-clickhouse",
            daemon=True,
        )
        self._supervisor.start()

    def stop(self, *, timeout_s: float = 10.0) -> None:
        """End it. Does nothing when it does not run.

        Takes a tenth of a second, or five if clients are still connected.

        Args:
            timeout_s: Time to end by itself, after which it is killed; 0 kills at
                once. Either way nothing acknowledged is lost.
        """
        with self._lock:
            self._stopping.set()
            process = self._process
        if process:
            process.ask_to_stop()
            if process.wait(timeout_s) is None:
                process.kill()
        if self._supervisor:
            self._supervisor.join()
            self._supervisor = None
            self._release()
            _log.info("embedded clickhouse stopped")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self, timeout_s: float) -> None:
        """Start one run and wait until it is ready; clean up if it is not."""
        began = time.monotonic()
        self._directory.write_config(
            self._ports, max_memory_bytes=self._max_memory_bytes
        )
        process = self._spawn()
        try:
            self._ports = process.wait_ready(timeout_s)
        except BaseException:
            process.kill()
            process.wait()
            process.close()
            raise
        self._directory.write_ports(self._ports)
        _log.info(
            "embedded clickhouse ready",
            address=self.url.address,
            pid=process.pid,
            seconds=round(time.monotonic() - began, 3),
        )

    def _spawn(self) -> ServerProcess:
        with self._lock:
            if self._stopping.is_set() or self._directory_lock is None:
                raise EmbeddedClickHouseError("it is being stopped")
            self._process = ServerProcess(
                self._directory, lock_fd=self._directory_lock.fd
            )
            return self._process

    def _release(self) -> None:
        """Give everything back after the last run has ended."""
        self._process = None
        self._ports = self._wanted_ports
        if self._directory_lock:
            self._directory_lock.release()
            self._directory_lock = None

    def _supervise(self, timeout_s: float) -> None:
        """Wait for the end of each run, and start the next, until the stop."""
        delays = _delays()
        while self._process:
            began = time.monotonic()
            code = self._process.wait()
            self._process.close()
            self._alive = False
            if self._stopping.is_set():
                return
            _log.warning("embedded clickhouse died", exit_code=code)
            if time.monotonic() - began > _STEADY_S:
                delays = _delays()
            if not self._run_again(timeout_s, delays):
                return

    def _run_again(self, timeout_s: float, delays: Iterator[float]) -> bool:
        """Try until it is up; return False if the stop came first."""
        reported = ""
        while not self._stopping.wait(next(delays)):
            try:
                self._run(timeout_s)
            except (EmbeddedClickHouseError, OSError) as error:
                if not self._stopping.is_set() and str(error) != reported:
                    reported = str(error)
                    _log.warning("embedded clickhouse not back", error=reported)
                continue
            self._restarts += 1
            self._alive = True  # last, for whoever looks at both
            return True
        return False


def _delays() -> Iterator[float]:
    """Yield the back-off: doubling, up to a cap, for ever."""
    delay_s = _FIRST_DELAY_S
    while True:
        yield delay_s
        delay_s = min(delay_s * 2, _LONGEST_DELAY_S)
