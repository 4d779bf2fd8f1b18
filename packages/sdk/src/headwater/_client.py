"""The client: what an application sees of this library."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Final, Self, Unpack

from headwater._capturing import Capturing
from headwater._http import HttpTransport
from headwater._reporter import Reporter
from headwater._results import FlushResult
from headwater._sender import Sender
from headwater._settings import Options, Settings
from headwater._spooler import open_spool
from headwater._transport import Transport

SHUTDOWN_TIMEOUT_S: Final = 10.0


class Client(Capturing):
    """Captures events and delivers them in the background, each exactly once.

    No method raises and none but `flush` and `shutdown` waits: what goes wrong is
    counted (`stats`), logged once per kind by the logger `headwater`, and given to
    `on_error`. All methods may be called from any thread. Sending is done by one
    daemon thread that starts with the first event. At the exit of the process what
    is queued is delivered, for `exit_timeout` seconds at most. A forked child begins
    with an empty queue.

    ::

        with Client("hw_key", "https://events.example.com") as client:
            client.capture("user-1", "order_completed", {"amount": 49.99})

    Args:
        write_key: The write key of the site.
        host: URL of the Headwater service.
        transport: Carries requests instead of HTTP, for instance in tests. The
            client closes it.
        flush_at: Events that make a batch due at once. Default 100.
        flush_interval: Seconds after which fewer are due, too. Default 5.
        max_batch_events: Most events in one request, when there is a backlog.
            Default 1,000, at most 10,000.
        max_batch_bytes: Most bytes in one request, before compression; only a single
            event may be larger. Default 4 MiB, at most 20 MiB.
        max_queue_size: Most events in memory. Default 10,000.
        max_queue_bytes: Most bytes of encoded events in memory. Default 64 MiB.
        overflow: What to do when the queue is full: `"drop_oldest"` of the events that
            are not being sent (the default), `"drop_newest"`, or `Block(timeout)`, with
            which `capture` waits for room, and then drops the newest.
        compression: Of requests of 1 KiB and more: `"gzip"`, `"zstd"` (which needs
            the library zstandard), `"none"`, or `"auto"`: zstd from 16 KiB on where it
            is installed, else gzip. Default `"auto"`.
        timeout: Seconds to wait for each step of a request. Default 10.
        max_retries: Retries before a delivery counts as failed. Its events stay at
            the front of the queue and are tried again later. Default 3.
        exit_timeout: Seconds that the exit of the process may take; the longest of
            all clients counts, once. Default 2.
        proxy: URL of a proxy. Default: what the environment says, as httpx reads it.
        ca_file: PEM file with the certificates to trust. Default: those of httpx.
        spool: Path of a file that keeps what cannot be delivered: at exit, or while
            the server is away. Whichever client is given the same path next sends it.
            Default None.
        spool_max_bytes: Most bytes of events in that file. Default 256 MiB.
        historical: The events are old on purpose, as of an import: the server believes
            their timestamps whatever the clock of this machine says. Default False.
        disabled: Capture nothing and send nothing; key and host are not needed.
        strict: Raise `InvalidEventError` in `capture`, for development. Default False.
        super_properties: Properties of all captured events, which their own win over.
        before_send: Called with each event on the thread that captures it. What it
            returns is queued; for None nothing is. If it raises, the event is lost.
        on_error: Called with each fault and the events it is about, on the thread
            that noticed it: the one that captures, or the one that sends.

    Raises:
        SettingsError: Options are wrong; the message names all of them.
    """

    _driver: Sender

    def __init__(
        self,
        write_key: str = "",
        host: str = "",
        *,
        transport: Transport | None = None,
        **options: Unpack[Options],
    ) -> None:
        settings = Settings(write_key=write_key, host=host, **options)
        carrier = transport or HttpTransport(
            settings.url,
            settings.timeout,
            proxy=settings.proxy,
            ca_file=settings.ca_file,
        )
        reporter = Reporter(settings.on_error)
        sender = Sender(settings, carrier, reporter, spool=open_spool(settings))
        super().__init__(settings, sender)

    def flush(self, timeout: float | None = None) -> FlushResult:
        """Sends everything queued before this call, and waits for it.

        Args:
            timeout: Seconds to keep trying. None stops when all is settled, or when
                a delivery has failed after its retries.

        Returns:
            What became of those events.
        """
        if isinstance(timeout, int | float):
            return self._driver.flush(timeout, gives_up=False)
        return self._driver.flush(threading.TIMEOUT_MAX, gives_up=True)

    def shutdown(self, timeout: float | None = None) -> FlushResult:
        """Delivers everything queued, then stops; later captures are refused.

        What is not delivered by then goes to the spool. Without one it is lost, and
        reported. May be called twice.

        Args:
            timeout: Seconds to keep trying. None stops when all is settled, when a
                delivery has failed after its retries, or after 10 seconds.

        Returns:
            What became of the events.
        """
        if isinstance(timeout, int | float):
            return self._driver.shutdown(timeout, gives_up=False)
        return self._driver.shutdown(SHUTDOWN_TIMEOUT_S, gives_up=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Shut down, whether or not there was an error."""
        self.shutdown()
