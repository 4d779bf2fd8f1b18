"""What `Client` and `AsyncClient` have in common: everything that waits for nothing."""

from __future__ import annotations

import sys
import time
import weakref
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Final, overload
from uuid import UUID

from headwater._before_send import apply_before_send
from headwater._context import NO_CONTEXT, Context, ContextStack
from headwater._driver import Driver
from headwater._encoder import PersonId, encode_event
from headwater._errors import BeforeSendError, InvalidEventError, PropertyRefusedError
from headwater._people import People
from headwater._reporter import read_name
from headwater._results import Stats
from headwater._settings import Settings
from headwater._typed_port import TypedEvent

UNATTRIBUTED: Final = "unattributed"
"""Whose an exception is that nobody is known to have met."""

EXCEPTION: Final = "$exception"

Properties = Mapping[str, object]


class Capturing(People):
    """Captures events and hands them to a driver."""

    def __init__(self, settings: Settings, driver: Driver) -> None:
        self._settings = settings
        self._driver = driver
        self._is_disabled = settings.disabled
        self._before_send = settings.before_send
        self._stack = ContextStack(settings.super_properties)
        self._get_context = self._stack.get
        # The finaliser must not know the client, or it would keep it alive.
        weakref.finalize(self, driver.retire).atexit = False

    @overload
    def capture(
        self,
        distinct_id: PersonId | None,
        event: str | TypedEvent,
        properties: Properties | None = None,
        *,
        groups: Mapping[str, PersonId] | None = None,
        timestamp: datetime | None = None,
        event_id: str | UUID | None = None,
    ) -> str | None: ...
    @overload
    def capture(
        self,
        event: str | TypedEvent,
        properties: Properties | None = None,
        /,
        *,
        groups: Mapping[str, PersonId] | None = None,
        timestamp: datetime | None = None,
        event_id: str | UUID | None = None,
    ) -> str | None: ...
    def capture(  # noqa: PLR0913 - the parts of an event
        self,
        distinct_id: object,
        event: object = None,
        properties: object = None,
        *,
        groups: Mapping[str, PersonId] | None = None,
        timestamp: datetime | None = None,
        event_id: str | UUID | None = None,
    ) -> str | None:
        """Queues an event; what is done to `properties` afterwards changes nothing.

        It is called as `capture([distinct_id,] event[, properties])`: without a
        distinct id, it is that of the context.

        Args:
            distinct_id: Who did it: 1 to 512 characters, or a number or UUID. None is
                the same as leaving it out.
            event: What it was: 1 to 200 characters, or a typed event, which brings its
                properties with it. Names with `$` are reserved.
            properties: Whatever else is known. A value that cannot be sent costs
                that one property.
            groups: Group types and keys, such as `{"company": "acme"}`.
            timestamp: When it happened; one without offset is local time. Default now.
            event_id: A UUID by which the server knows the event if it comes again.

        Returns:
            The event's id, or None if it could not be queued.

        Raises:
            InvalidEventError: The event is wrong, and the client is strict.
        """
        if self._is_disabled:
            return None
        context = self._get_context()
        try:
            if type(event) is not str:
                distinct_id, event, properties = _arrange(
                    distinct_id, event, properties
                )
            if context is not NO_CONTEXT:
                if distinct_id is None:
                    distinct_id = context.distinct_id
                if context.properties:
                    properties = _merge(context.properties, properties)
                if context.groups:
                    groups = {**context.groups, **(groups or {})}
            made_id, payload, refused = encode_event(
                event,
                distinct_id,
                properties,
                groups=groups,
                timestamp=timestamp,
                event_id=event_id,
                now_ms=time.time_ns() // 1_000_000,
            )
        except Exception as error:  # noqa: BLE001 - nothing is raised into the application
            self._refuse(error)
            return None
        if refused or self._before_send is not None:
            return self._look_again(payload, made_id, refused)
        return made_id if self._driver.put(payload) else None

    def capture_exception(
        self,
        error: BaseException | None = None,
        properties: Properties | None = None,
        *,
        distinct_id: PersonId | None = None,
        groups: Mapping[str, PersonId] | None = None,
        handled: bool = True,
    ) -> str | None:
        """Captures an exception, with its causes and their stacks, as `$exception`.

        No variables and no lines of source are taken, and messages without what looks
        like a password, token or key.

        Args:
            error: What was raised. None for the one that is being handled.
            properties: Whatever else is known.
            distinct_id: Who met it; else that of the context, else `unattributed`.
            groups: Group types and keys.
            handled: The application has caught it; one that it has not is fatal.

        Returns:
            The event's id, or None if it could not be queued, or there is no exception.
        """
        error = error or sys.exc_info()[1]
        if self._is_disabled or error is None:
            return None
        if distinct_id is None and self._get_context().distinct_id is None:
            distinct_id = UNATTRIBUTED
        # Where nothing goes wrong it is never imported.
        from headwater._exceptions import describe_exception  # noqa: PLC0415

        described = describe_exception(error, handled=handled)
        return self.capture(
            distinct_id, EXCEPTION, {**described, **(properties or {})}, groups=groups
        )

    def context(
        self,
        properties: Properties | None = None,
        /,
        *,
        distinct_id: PersonId | None = None,
        groups: Mapping[str, PersonId] | None = None,
        **named: object,
    ) -> AbstractContextManager[None]:
        """Says for a block of code who does what is captured in it.

        ::

            with client.context(distinct_id="user-1", request_id=7):
                client.capture("order_completed", {"amount": 49.99})

        It holds for this client and for the present thread or task, and for tasks that
        are made in the block. Blocks may be nested; the inner one wins.

        Args:
            properties: Properties, besides those of the outer block.
            distinct_id: Who it is; else that of the outer block.
            groups: Groups, besides those of the outer block.
            named: Further properties, whose names are Python's.
        """
        properties = {**(properties or {}), **named}
        return self._stack.enter(Context(distinct_id, groups or {}, properties))

    def stats(self) -> Stats:
        """Returns how many events were captured, delivered and lost so far."""
        return self._driver.stats

    @property
    def queue_length(self) -> int:
        """How many events wait in memory, those on their way included."""
        return self._driver.queued

    def _state(
        self, event: str, distinct_id: PersonId | None, properties: Properties
    ) -> str | None:
        """Queues a reserved event; the context says of it no more than who it is."""
        if self._is_disabled:
            return None
        if distinct_id is None:
            distinct_id = self._get_context().distinct_id
        try:
            made_id, payload, refused = encode_event(
                event,
                distinct_id,
                properties,
                groups=None,
                timestamp=None,
                event_id=None,
                now_ms=time.time_ns() // 1_000_000,
            )
        except Exception as error:  # noqa: BLE001 - nothing is raised into the application
            self._refuse(error)
            return None
        return self._look_again(payload, made_id, refused)

    def _look_again(
        self, payload: bytes, made_id: str, refused: dict[str, str]
    ) -> str | None:
        """Tells of refused properties, asks `before_send`, and queues the event."""
        if refused:
            name = read_name(payload)
            self._driver.report_refused(PropertyRefusedError(name, refused), payload)
        if self._before_send is not None:
            try:
                changed = apply_before_send(self._before_send, payload)
            except BeforeSendError as error:
                self._driver.refuse(error, (payload,))
                return None
            if changed is None:
                self._driver.filter_out()
                return None
            made_id, payload = changed
        return made_id if self._driver.put(payload) else None

    def _refuse(self, error: Exception) -> None:
        if not isinstance(error, InvalidEventError):
            error = InvalidEventError(f"reading it raised {error!r}")
        self._driver.refuse(error)
        if self._settings.strict:
            raise error


def _arrange(
    first: object, second: object, third: object
) -> tuple[object, object, object]:
    """Returns distinct id, event and properties of `capture([id,] event[, props])`."""
    if not (isinstance(second, str) or hasattr(type(second), "__headwater_event__")):
        if third is not None:
            raise InvalidEventError(f"event must be text, not {type(second).__name__}")
        first, second, third = None, first, second
    describe = getattr(type(second), "__headwater_event__", None)
    if describe is None:
        return first, second, third
    name, properties = describe(second)
    return first, name, properties if third is None else _merge(properties, third)


def _merge(outer: Mapping[str, object], properties: object) -> object:
    """Returns both, of which `properties` win; if they are none, that is told later."""
    if properties is None:
        return outer
    if not isinstance(properties, Mapping):
        return properties
    return {**outer, **properties}
