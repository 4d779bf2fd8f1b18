"""The owner's side of one worker: starts the process, and starts it again.

A worker may be killed at any instant: what it has acknowledged is in the journal, and
what it had not is sent again by its clients.
"""

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

import structlog

from headwater_ingest.backoff import STEADY_S, make_delays
from headwater_ingest.telemetry.state import WebState
from headwater_ingest.worker.connection import Connection
from headwater_ingest.worker.dealer import pass_on
from headwater_ingest.worker.owner_desk import OwnerDesk
from headwater_ingest.worker.protocol import (
    Begin,
    Finish,
    PutSalts,
    PutSites,
    Ready,
    ToOwner,
    WorkerStatus,
    decode_to_owner,
)

# -P: modules in the working directory must not shadow those of the library.
_COMMAND: Final = (sys.executable, "-P", "-m", "headwater_ingest.worker")

_HEAR_S: Final = 1.0
_LOOK_S: Final = 1.0
_SILENT_LOOKS: Final = 30
"""A worker that says nothing for so long hangs: it has something to say each second."""

_log = structlog.stdlib.get_logger(__name__)

Greeting = Callable[[], Iterable[Begin | PutSites | PutSalts]]


class WorkerSupervisor:
    """Keeps one worker running. For the event loop.

    Attributes:
        is_up: Whether a process takes requests.
        has_started: Whether one ever did.
        restarts: Starts after the first.
        web: What of web events is its own, with the counts of all processes so far.
    """

    def __init__(
        self, number: int, *, fds: Sequence[int], metrics_dir: str, greet: Greeting
    ) -> None:
        """Prepare; nothing is started yet.

        Args:
            number: Which of the workers it is.
            fds: What its processes inherit: the tables of limits.
            metrics_dir: Where its metrics are.
            greet: Says what a new process is told first.
        """
        self._number = number
        self._fds = tuple(fds)
        self._metrics_dir = metrics_dir
        self._greet = greet
        self._connection: Connection[ToOwner] | None = None
        self._channel: socket.socket | None = None
        self._earlier = WebState()
        self._finishing = asyncio.Event()
        self._silent_looks = 0
        self.has_started = asyncio.Event()
        self.is_up = False
        self.restarts = 0
        self.web = WebState()

    async def supervise(self, desk: OwnerDesk) -> None:
        """Start the process, and start it again, until `finish`."""
        delays = make_delays()
        while not self._finishing.is_set():
            started = time.monotonic()
            try:
                code: int | None = await self._run_process(desk)
            except OSError as error:  # no memory or no process left for it
                _log.warning("worker not started", error=str(error))
                code = None
            if self._finishing.is_set():
                return
            _log.warning("worker died", worker=self._number, exit_code=code)
            if time.monotonic() - started >= STEADY_S:
                delays = make_delays()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._finishing.wait(), next(delays))
            self.restarts += 1

    def finish(self) -> None:
        """Have the process end in good order."""
        self._finishing.set()
        self.tell(Finish())

    def take(self, connection: socket.socket) -> bool:
        """Pass a connection on to the process, if it is there and has room."""
        channel = self._channel
        return self.is_up and channel is not None and pass_on(connection, channel)

    def tell(self, order: PutSites | PutSalts | Finish) -> None:
        """Say something to the process, if there is one."""
        if self._connection is not None:
            self._connection.send(order)

    async def _run_process(self, desk: OwnerDesk) -> int:
        """Run one process to its end, and return its exit code."""
        ours, theirs = socket.socketpair()
        channel, their_channel = socket.socketpair(type=socket.SOCK_DGRAM)
        with ours, channel:
            with theirs, their_channel:
                process = await self._launch(theirs, their_channel)
            try:
                await self._connect(ours.dup(), desk, process)
                ours.close()
                channel.settimeout(0)
                self._channel = channel
                code = await self._watch(process)
                await self._hear_out()
                return code
            finally:
                self._disconnect()
                if process.returncode is None:
                    process.kill()
                    await process.wait()

    async def _launch(self, *socks: socket.socket) -> asyncio.subprocess.Process:
        fds = (*(each.fileno() for each in socks), *self._fds)
        return await asyncio.create_subprocess_exec(
            *_COMMAND,
            str(self._number),
            self._metrics_dir,
            *map(str, fds),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=fds,
        )

    async def _connect(
        self,
        sock: socket.socket,
        desk: OwnerDesk,
        process: asyncio.subprocess.Process,
    ) -> None:
        connection = Connection[ToOwner](
            decode_to_owner,
            on_message=partial(self._receive, desk),
            on_end=partial(self._end, process),
        )
        self._connection = connection
        await connection.open(sock)
        for order in self._greet():
            connection.send(order)

    async def _watch(self, process: asyncio.subprocess.Process) -> int:
        """Return the exit code of a process, and see to it that there will be one."""
        ending = asyncio.create_task(process.wait())
        try:
            while not ending.done():
                await asyncio.wait({ending}, timeout=_LOOK_S)
                if self._hangs():
                    _log.warning("worker hangs and is killed", worker=self._number)
                    _kill(process)
            return await ending
        finally:
            ending.cancel()

    def _hangs(self) -> bool:
        """Look at the worker; the look at which it has been silent for too long."""
        # Looks, not seconds: a service that stood still has heard nothing either.
        self._silent_looks += 1
        return self.is_up and self._silent_looks == _SILENT_LOOKS

    async def _hear_out(self) -> None:
        """Take in what a process that has ended has left to be read."""
        if self._connection is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._connection.ended.wait(), _HEAR_S)

    def _disconnect(self) -> None:
        self.is_up = False
        self._channel = None
        self._earlier = self.web = self.web.counts_only()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _receive(self, desk: OwnerDesk, number: int, message: ToOwner) -> None:
        self._silent_looks = 0
        match message:
            case Ready():
                self.is_up = True
                self.has_started.set()
            case WorkerStatus():
                self.web = message.web.plus(self._earlier)
            case _:
                connection = self._connection
                if connection is not None:
                    desk.take(message, partial(connection.send, number=number))

    def _end(self, process: asyncio.subprocess.Process) -> None:
        """See to it that a process that does not listen any more is none."""
        self.is_up = False
        if not self._finishing.is_set() and process.returncode is None:
            _kill(process)


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended
        process.kill()
