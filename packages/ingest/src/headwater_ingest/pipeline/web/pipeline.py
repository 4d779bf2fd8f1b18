"""From web requests to rows: one at a time for who waits, or all that came together."""

import asyncio
from collections.abc import (
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from functools import partial
from time import perf_counter
from typing import Any, Final, Protocol

import msgspec
import uuid_utils

from headwater_ingest.enrich.currency import NO_REVENUE, Revenue
from headwater_ingest.pipeline.web.event import WebEvent
from headwater_ingest.pipeline.web.request import ENGAGEMENT, WebRequest
from headwater_ingest.pipeline.web.steps import Step
from headwater_ingest.rows import Row
from headwater_ingest.visitors.sessions import Session, SessionStore, Visit
from headwater_schema.outcomes import Reason

REGISTER_SESSION: Final = "register_session"
_SAMPLE: Final = 64
"""One event in so many has its steps timed."""

_KNOWN: Final = (Session, Reason)


class Buffer(Protocol):
    """Where rows go; what it has taken is on disk."""

    def put(
        self, rows: Sequence[Row], done: Callable[[Exception | None], object]
    ) -> None:
        """Takes the rows of a request, and says when they are on disk, or why not."""

    def count_dropped(self, site_id: int, reason: Reason) -> None:
        """Counts an event that leaves no row; site 0 stands for none."""


Observe = Callable[[str, float], object]
"""Is told the name of a step and its seconds."""


class Dropped(msgspec.Struct, frozen=True):
    """An event that was left out.

    Attributes:
        site_id: The site; 0 if there is none of this domain.
        domain: As the request named it.
        reason: Why.
    """

    site_id: int
    domain: str
    reason: Reason


class Result(msgspec.Struct):
    """What became of the events of a request, one per domain.

    Attributes:
        buffered: The domains whose events are on disk.
        dropped: The others.
        missing_rates: Events whose revenue could not be converted.
        truncated_props: Properties that were too many.
    """

    buffered: list[str] = []
    dropped: list[Dropped] = []
    missing_rates: int = 0
    truncated_props: int = 0


Settle = Callable[[Result | Exception], object]
"""Is told what became of a request, or why none of it could be kept."""


class _Taking(msgspec.Struct):
    """A request on its way.

    Attributes:
        events: Those that are left to be taken.
        settle: Is told what became of all.
        result: What became of them so far.
        rows: Theirs so far.
    """

    events: Iterator[WebEvent]
    settle: Settle
    result: Result
    rows: list[Row] = []

    def drop(self, event: WebEvent, reason: Reason) -> None:
        """Notes an event that is left out."""
        self.result.dropped.append(Dropped(event.site.id, event.domain, reason))

    def conclude(self, event: WebEvent, session: Session | Reason) -> bool:
        """Notes the row of an event that has a session, and says whether it could."""
        if isinstance(session, Reason):
            self.drop(event, session)
            return True
        try:
            self.rows.append(make_row(event, session))
        except Exception as error:  # noqa: BLE001  # supervised: who asked is told
            self.settle(error)
            return False
        self.result.buffered.append(event.domain)
        self.result.missing_rates += event.revenue.lacks_rate
        return True


class WebPipeline:
    """Runs the steps, and buffers what is left."""

    def __init__(
        self,
        steps: Sequence[tuple[str, Step]],
        *,
        sessions: SessionStore,
        buffer: Buffer,
        observe: Observe,
    ) -> None:
        self._steps = steps
        self._functions = tuple(function for _, function in steps)
        self._sessions = sessions
        self._buffer = buffer
        self._observe = observe
        self._countdown = 1
        self._asked: set[asyncio.Future[Session | Reason]] = set()

    async def build_and_buffer(self, request: WebRequest) -> Result:
        """Takes a request through all steps and returns when its rows are on disk.

        Raises:
            JournalError: Nothing is, or not all of it.
        """
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[Result | Exception] = loop.create_future()
        self.take([(request, partial(_settle_future, settled))])
        outcome = await settled
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def take(self, requests: Iterable[tuple[WebRequest, Settle]]) -> None:
        """Does the same for requests that came together, in their order.

        Args:
            requests: Each with who is told what became of it, which must not raise.
        """
        together: list[_Taking] = []
        for request, settle in requests:
            taking = _begin(request, settle)
            if len(request.fields.domains) == 1:
                together.append(taking)
                continue
            # Its events go one after the other, and none of its visitor overtakes them.
            self._advance(together)
            self._advance([taking])
            together = []
        self._advance(together)

    def _advance(self, takings: Sequence[_Taking]) -> None:
        """Takes the next event of each request, until all are taken, wait or fail.

        All of them take one part of the way before any takes the next one: what a part
        needs is in the caches of the CPU then.
        """
        while takings:
            passed = [
                (taking, event)
                for taking in takings
                if (event := self._next_event(taking)) is not None
            ]
            found = [
                (taking, event, session)
                for taking, event in passed
                if (session := self._find_session(taking, event)) is not None
            ]
            takings = [each[0] for each in found if each[0].conclude(*each[1:])]

    def _next_event(self, taking: _Taking) -> WebEvent | None:
        """Returns the next event that no step drops; after the last one, puts rows."""
        try:
            for event in taking.events:
                reason = self._run(event)
                if reason is None:
                    return event
                taking.drop(event, reason)
            self._put(taking)
        except Exception as error:  # noqa: BLE001  # supervised: who asked is told
            taking.settle(error)
        return None

    def _find_session(
        self, taking: _Taking, event: WebEvent
    ) -> Session | Reason | None:
        """Returns what the store says; nothing if it fails or says so later."""
        try:
            found = self._register(event)
        except Exception as error:  # noqa: BLE001  # supervised: who asked is told
            taking.settle(error)
            return None
        if isinstance(found, _KNOWN):
            return found
        asked = asyncio.ensure_future(found)
        self._asked.add(asked)
        asked.add_done_callback(partial(self._take_rest, taking, event))
        return None

    def _take_rest(
        self, taking: _Taking, event: WebEvent, asked: asyncio.Future[Session | Reason]
    ) -> None:
        self._asked.discard(asked)
        if asked.cancelled():  # the loop ends, and who asked is gone
            return
        try:
            session = asked.result()
        except Exception as error:  # noqa: BLE001  # supervised: who asked is told
            taking.settle(error)
            return
        if taking.conclude(event, session):
            self._advance([taking])

    def _put(self, taking: _Taking) -> None:
        if taking.rows:
            self._buffer.put(taking.rows, partial(self._settle, taking))
        else:
            self._settle(taking, None)

    def _settle(self, taking: _Taking, error: Exception | None) -> None:
        if error:
            taking.settle(error)
            return
        for each in taking.result.dropped:
            self._buffer.count_dropped(each.site_id, each.reason)
        taking.settle(taking.result)

    def _register(
        self, event: WebEvent
    ) -> Session | Reason | Awaitable[Session | Reason]:
        if not event.is_timed:
            return self._sessions.register(_visit(event))
        started = perf_counter()
        found = self._sessions.register(_visit(event))
        if not isinstance(found, _KNOWN):
            return self._await_timed(found, started)
        self._observe(REGISTER_SESSION, perf_counter() - started)
        return found

    async def _await_timed(
        self, asked: Awaitable[Session | Reason], started: float
    ) -> Session | Reason:
        found = await asked
        self._observe(REGISTER_SESSION, perf_counter() - started)
        return found

    def _run(self, event: WebEvent) -> Reason | None:
        self._countdown -= 1
        if not self._countdown:
            self._countdown = _SAMPLE
            event.is_timed = True
            return self._run_timed(event)
        for step in self._functions:
            reason = step(event)
            if reason is not None:
                return reason
        return None

    def _run_timed(self, event: WebEvent) -> Reason | None:
        for name, step in self._steps:
            started = perf_counter()
            reason = step(event)
            self._observe(name, perf_counter() - started)
            if reason is not None:
                return reason
        return None


def _begin(request: WebRequest, settle: Settle) -> _Taking:
    fields = request.fields
    return _Taking(
        (WebEvent(request, domain) for domain in fields.domains),
        settle,
        Result(truncated_props=fields.truncated_props),
    )


def _settle_future(
    future: "asyncio.Future[Result | Exception]", outcome: Result | Exception
) -> None:
    if not future.done():  # cancelled: who asked has gone
        future.set_result(outcome)


def _visit(event: WebEvent) -> Visit:
    return Visit(
        event.site.id,
        event.user_id,
        event.previous_user_id,
        event.request.time_s,
        event.request.fields.name == ENGAGEMENT,
        event.make_facts,
    )


def make_row(event: WebEvent, session: Session) -> Row:
    """Makes the row of an event, with what its session says of source and device.

    A column that would have its default is left out: it costs nothing from here on.
    """
    request, fields = event.request, event.request.fields
    columns: dict[str, Any] = {
        **session.facts,
        "site_id": event.site.id,
        "name": fields.name,
        "timestamp": request.time_s * 1000,
        "received_at": request.received_at_ms,
        "user_id": session.user_id,
        "session_id": session.id,
        "hostname": fields.page.hostname,
        "pathname": fields.page.pathname,
    }
    if fields.props:
        columns["props"] = fields.props
    if not fields.is_interactive:
        columns["interactive"] = False
    if fields.name == ENGAGEMENT:
        columns["scroll_depth"] = fields.scroll_depth
        columns["engagement_time"] = fields.engagement_time_ms
    if event.revenue is not NO_REVENUE:
        columns |= _revenue_columns(event.revenue)
    return Row(uuid_utils.uuid7().bytes, columns)


def _revenue_columns(revenue: Revenue) -> dict[str, Any]:
    return {
        "revenue_source_amount": revenue.source_amount,
        "revenue_source_currency": revenue.source_currency,
        "revenue_reporting_amount": revenue.reporting_amount,
        "revenue_reporting_currency": revenue.reporting_currency,
    }
