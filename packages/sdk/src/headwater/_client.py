"""The client: what an application sees of this library."""

import threading
import time
import weakref
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from headwater._encoder import PersonId, encode_event
from headwater._errors import InvalidEventError, PropertyRefusedError
from headwater._http import HttpTransport
from headwater._reporter import OnError, Reporter
from headwater._results import FlushResult, Stats
from headwater._sender import Sender
from headwater._settings import Settings
from headwater._transport import Transport
from headwater_schema.events import CREATE_ALIAS, GROUP_IDENTIFY, IDENTIFY

_SHUTDOWN_TIMEOUT_S: Final = 10.0
_MIB: Final = 1024 * 1024


class Client:
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
        flush_at: Events that make a batch due at once. Default 100.
        flush_interval: Seconds after which fewer are due, too. Default 5.
        max_batch_events: Most events in one request, when there is a backlog.
            Default 1,000, at most 10,000.
        max_batch_bytes: Most bytes in one request, before compression; only a single
            event may be larger. Default 4 MiB, at most 20 MiB.
        max_queue_size: Most events in memory. When it is full, the oldest that are
            not being sent are dropped. Default 10,000.
        max_queue_bytes: Most bytes of encoded events in memory. Default 64 MiB.
        gzip: Compress requests of 1 KiB and more. Default True.
        timeout: Seconds to wait for each step of a request. Default 10.
        max_retries: Retries before a delivery counts as failed. Its events stay at
            the front of the queue and are tried again later. Default 3.
        exit_timeout: Seconds that the exit of the process may take; the longest of
            all clients counts, once. Default 2.
        on_error: Called with each fault and the events it is about, on the thread
            that noticed it: the one that captures, or the one that sends.
        transport: Carries requests instead of HTTP, for instance in tests. The
            client closes it.

    Raises:
        SettingsError: Options are wrong; the message names all of them.
    """

    def __init__(  # noqa: PLR0913 - each option is named by the caller
        self,
        write_key: str,
        host: str,
        *,
        flush_at: int = 100,
        flush_interval: float = 5.0,
        max_batch_events: int = 1_000,
        max_batch_bytes: int = 4 * _MIB,
        max_queue_size: int = 10_000,
        max_queue_bytes: int = 64 * _MIB,
        gzip: bool = True,
        timeout: float = 10.0,
        max_retries: int = 3,
        exit_timeout: float = 2.0,
        on_error: OnError | None = None,
        transport: Transport | None = None,
    ) -> None:
        settings = Settings(
            write_key=write_key,
            host=host,
            flush_at=flush_at,
            flush_interval=flush_interval,
            max_batch_events=max_batch_events,
            max_batch_bytes=max_batch_bytes,
            max_queue_size=max_queue_size,
            max_queue_bytes=max_queue_bytes,
            gzip=gzip,
            timeout=timeout,
            max_retries=max_retries,
            exit_timeout=exit_timeout,
        )
        self._sender = Sender(
            settings,
            transport or HttpTransport(settings.url, settings.timeout),
            Reporter(on_error),
        )
        # The finaliser must not know the client, or it would keep it alive.
        weakref.finalize(self, self._sender.retire).atexit = False

    def capture(  # noqa: PLR0913 - the parts of an event
        self,
        distinct_id: PersonId,
        event: str,
        properties: Mapping[str, object] | None = None,
        *,
        groups: Mapping[str, PersonId] | None = None,
        timestamp: datetime | None = None,
        event_id: str | UUID | None = None,
    ) -> str | None:
        """Queues an event; what is done to `properties` afterwards changes nothing.

        Args:
            distinct_id: Who did it: 1 to 512 characters, or a number or UUID.
            event: What it was: 1 to 200 characters. Names with `$` are reserved.
            properties: Whatever else is known. A value that cannot be sent costs
                that one property.
            groups: Group types and keys, such as `{"company": "acme"}`.
            timestamp: When it happened; one without offset is local time. Default now.
            event_id: A UUID by which the server knows the event if it comes again.

        Returns:
            The event's id, or None if it could not be queued.
        """
        try:
            event_id, payload, refused = encode_event(
                event,
                distinct_id,
                properties,
                groups=groups,
                timestamp=timestamp,
                event_id=event_id,
                now_ms=time.time_ns() // 1_000_000,
            )
        except InvalidEventError as error:
            self._sender.refuse(error)
            return None
        except Exception as error:  # noqa: BLE001 - nothing is raised into the application
            self._sender.refuse(InvalidEventError(f"reading it raised {error!r}"))
            return None
        if refused:
            self._sender.report_refused(PropertyRefusedError(event, refused), payload)
        return event_id if self._sender.put(payload) else None

    def identify(
        self,
        distinct_id: PersonId,
        properties: Mapping[str, object] | None = None,
        *,
        set_once: Mapping[str, object] | None = None,
    ) -> str | None:
        """States what is known about a person.

        Args:
            distinct_id: Who it is.
            properties: What is true from now on.
            set_once: What is true only where nothing was known before.

        Returns:
            The event's id, or None if it could not be queued.
        """
        stated = {"$set": properties, "$set_once": set_once}
        return self.capture(
            distinct_id,
            IDENTIFY,
            {key: value for key, value in stated.items() if value is not None},
        )

    def group_identify(
        self,
        group_type: str,
        group_key: PersonId,
        properties: Mapping[str, object] | None = None,
    ) -> str | None:
        """States what is known about a group, such as a company.

        Args:
            group_type: What kind of group: 1 to 200 characters.
            group_key: Which one.
            properties: What is true from now on.

        Returns:
            The event's id, or None if it could not be queued.
        """
        return self.capture(
            group_key,
            GROUP_IDENTIFY,
            {
                "$group_type": group_type,
                "$group_key": group_key,
                "$group_set": {} if properties is None else properties,
            },
        )

    def alias(self, distinct_id: PersonId, alias: PersonId) -> str | None:
        """States that two ids are the same person.

        Args:
            distinct_id: The id that stays.
            alias: The other one, for instance of the time before the login.

        Returns:
            The event's id, or None if it could not be queued.
        """
        return self.capture(distinct_id, CREATE_ALIAS, {"alias": alias})

    def flush(self, timeout: float | None = None) -> FlushResult:
        """Sends everything queued before this call, and waits for it.

        Args:
            timeout: Seconds to keep trying. None stops when all is settled, or when
                a delivery has failed after its retries.

        Returns:
            What became of those events.
        """
        if isinstance(timeout, int | float):
            return self._sender.flush(timeout, gives_up=False)
        return self._sender.flush(threading.TIMEOUT_MAX, gives_up=True)

    def shutdown(self, timeout: float | None = None) -> FlushResult:
        """Delivers everything queued, then stops; later captures are refused.

        What is not delivered by then is lost, and reported. May be called twice.

        Args:
            timeout: Seconds to keep trying. None stops when all is settled, when a
                delivery has failed after its retries, or after 10 seconds.

        Returns:
            What became of the events.
        """
        if isinstance(timeout, int | float):
            return self._sender.shutdown(timeout, gives_up=False)
        return self._sender.shutdown(_SHUTDOWN_TIMEOUT_S, gives_up=True)

    def stats(self) -> Stats:
        """Returns how many events were captured, delivered and lost so far."""
        return self._sender.stats

    @property
    def queue_length(self) -> int:
        """How many events wait, those on their way included."""
        return self._sender.queued

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
