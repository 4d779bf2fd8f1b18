"""The service's side of the writer process: starts it, and starts it again.

The process may be killed at any instant; what it was writing is still in the journal.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from typing import Final

import msgspec
import structlog
from msgspec.structs import replace

from headwater_ingest.backoff import STEADY_S, make_delays
from headwater_ingest.writer.classify import FailureKind
from headwater_ingest.writer.protocol import (
    Drain,
    WriterSettings,
    WriterStatus,
    decode_status,
    encode_line,
)

_GRACE_S: Final = 2.0  # for its end after the deadline of a drain
# -P: modules in the working directory must not shadow those of the library.
_COMMAND: Final = (sys.executable, "-P", "-m", "headwater_ingest.writer")

_log = structlog.stdlib.get_logger(__name__)

OnStatus = Callable[[WriterStatus], object]


def _ignore_status(_status: WriterStatus) -> None:
    """Do nothing."""


class WriterSupervisor:
    """Keeps one writer process running. For the event loop.

    Attributes:
        status: How the writer is, with the counts of all processes so far.
        is_up: Whether a process is running and has said so.
        restarts: Starts after the first.
    """

    def __init__(
        self, settings: WriterSettings, *, on_status: OnStatus = _ignore_status
    ) -> None:
        """Prepare; nothing is started yet.

        Args:
            settings: What the process is told.
            on_status: Is called with every new status.
        """
        self._settings = settings
        self._on_status = on_status
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._earlier = WriterStatus()  # the counts of the processes that have ended
        self._drain_until: float | None = None
        self._hurry = asyncio.Event()
        self.status = WriterStatus()
        self.is_up = False
        self.restarts = 0

    def start(self) -> None:
        """Start the process."""
        self._task = asyncio.create_task(self._supervise(), name="writer supervisor")

    async def drain(self, timeout_s: float) -> None:
        """Have everything written, and end the process, at the latest after that time.

        What is left then is written after the next start.
        """
        self._drain_until = time.monotonic() + timeout_s
        self._hurry.set()
        await self._send_drain()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=timeout_s + _GRACE_S)
        await self.kill()

    async def kill(self) -> None:
        """End the process at once. It loses nothing by that."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _supervise(self) -> None:
        delays = make_delays()
        while True:
            started = time.monotonic()
            try:
                code: int | None = await self._run_process()
            except OSError as error:  # no memory or no process left for it
                _log.warning("writer not started", error=str(error))
                code = None
            if self._drain_until is not None and (code == 0 or self._is_overdue()):
                return
            _log.warning("writer died", exit_code=code)
            if time.monotonic() - started >= STEADY_S:
                delays = make_delays()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), next(delays))
            self.restarts += 1

    async def _run_process(self) -> int:
        """Run one process to its end, and return its exit code."""
        process = await asyncio.create_subprocess_exec(
            *_COMMAND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        self._process = process
        try:
            await self._send(self._settings)
            await self._send_drain()
            await self._follow(process)
            return await process.wait()
        finally:
            self._process = None
            if process.returncode is None:
                process.kill()
                await process.wait()
            self._take(replace(self.status, state="stopped", last_error=None))
            self._earlier = self.status

    async def _follow(self, process: asyncio.subprocess.Process) -> None:
        """Take in what the process says until it says no more."""
        if process.stdout is None:
            raise RuntimeError("the writer has no standard output")
        async for line in process.stdout:
            with contextlib.suppress(msgspec.DecodeError):  # cut off by a kill
                self._take(decode_status(line).plus(self._earlier))

    def _take(self, status: WriterStatus) -> None:
        before, self.status = self.status, status
        self.is_up = status.state != "stopped"
        _log_change(before, status)
        self._on_status(status)

    async def _send_drain(self) -> None:
        if self._drain_until is not None:
            left_s = max(0.0, self._drain_until - time.monotonic())
            await self._send(Drain(drain_s=left_s))

    async def _send(self, message: WriterSettings | Drain) -> None:
        if self._process is None or self._process.stdin is None:
            return
        # A process that has ended is noticed where its output ends.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._process.stdin.write(encode_line(message))
            await self._process.stdin.drain()

    def _is_overdue(self) -> bool:
        return self._drain_until is not None and time.monotonic() >= self._drain_until


def _log_change(before: WriterStatus, after: WriterStatus) -> None:
    error = after.last_error
    if error is not None and error != before.last_error:
        passes = error.kind is FailureKind.TRANSIENT
        log = _log.warning if passes else _log.error
        told = "writer retries" if passes else "nothing is written until somebody acts"
        log(told, kind=error.kind.value, error=error.message)
    elif before.state == "retrying" and after.state == "running":
        _log.info("writer writes again")
