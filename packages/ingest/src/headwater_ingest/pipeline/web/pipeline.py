"""From a web request to rows: `build_and_buffer`, the one entry of the web pipeline."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any, Final, Protocol, runtime_checkable

import msgspec
import uuid_utils

from headwater_ingest.enrich.currency import NO_REVENUE, Revenue
from headwater_ingest.pipeline.web.event import WebEvent
from headwater_ingest.pipeline.web.request import ENGAGEMENT, WebRequest
from headwater_ingest.pipeline.web.steps import Step
from headwater_ingest.rows import Row
from headwater_ingest.visitors.sessions import Session, Visit
from headwater_schema.outcomes import Reason

REGISTER_SESSION: Final = "register_session"
_SAMPLE: Final = 64
"""One request in so many has its steps timed."""


class SessionStore(Protocol):
    """Where open sessions are kept."""

    async def register(self, visit: Visit) -> Session | Reason:
        """Returns the session of an event, or why it has none."""


@runtime_checkable
class SessionsAtHand(Protocol):
    """Open sessions that are asked for without waiting."""

    def find_or_begin(self, visit: Visit) -> Session | Reason:
        """Returns the session of an event, or why it has none."""


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
        self._at_hand = sessions if isinstance(sessions, SessionsAtHand) else None
        self._buffer = buffer
        self._observe = observe
        self._countdown = 1
        self._tasks: set[asyncio.Task[None]] = set()

    async def build_and_buffer(self, request: WebRequest) -> Result:
        """Takes a request through all steps and returns when its rows are on disk.

        Raises:
            JournalError: Nothing is, or not all of it.
        """
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[Result | Exception] = loop.create_future()
        self.take(request, partial(_settle_future, settled))
        outcome = await settled
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def take(self, request: WebRequest, settle: Settle) -> None:
        """Does the same for who does not wait, but is told."""
        if self._at_hand is None:
            task = asyncio.create_task(self._take_later(request, settle))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        result, rows = Result(truncated_props=request.fields.truncated_props), []
        for domain in request.fields.domains:
            event = WebEvent(request, domain)
            session = self._run(event) or self._find(event, self._at_hand)
            if row := _conclude(event, session, result):
                rows.append(row)
        self._put(rows, result, settle)

    async def _take_later(self, request: WebRequest, settle: Settle) -> None:
        result, rows = Result(truncated_props=request.fields.truncated_props), []
        try:
            for domain in request.fields.domains:
                event = WebEvent(request, domain)
                session = self._run(event) or await self._ask(event)
                if row := _conclude(event, session, result):
                    rows.append(row)
        except Exception as error:  # noqa: BLE001  # supervised: who asked is told
            settle(error)
            return
        self._put(rows, result, settle)

    def _put(self, rows: list[Row], result: Result, settle: Settle) -> None:
        if rows:
            self._buffer.put(rows, partial(self._settle, result, settle))
        else:
            self._settle(result, settle, None)

    def _settle(self, result: Result, settle: Settle, error: Exception | None) -> None:
        if error:
            settle(error)
            return
        for each in result.dropped:
            self._buffer.count_dropped(each.site_id, each.reason)
        settle(result)

    def _find(self, event: WebEvent, sessions: SessionsAtHand) -> Session | Reason:
        if self._countdown != _SAMPLE:
            return sessions.find_or_begin(_visit(event))
        started = perf_counter()  # as the steps before it were
        session = sessions.find_or_begin(_visit(event))
        self._observe(REGISTER_SESSION, perf_counter() - started)
        return session

    async def _ask(self, event: WebEvent) -> Session | Reason:
        is_timed = self._countdown == _SAMPLE
        started = perf_counter() if is_timed else 0.0
        session = await self._sessions.register(_visit(event))
        if is_timed:
            self._observe(REGISTER_SESSION, perf_counter() - started)
        return session

    def _run(self, event: WebEvent) -> Reason | None:
        self._countdown -= 1
        if not self._countdown:
            self._countdown = _SAMPLE
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


def _conclude(event: WebEvent, session: Session | Reason, result: Result) -> Row | None:
    """Notes what becomes of an event, and returns its row if it has one."""
    if isinstance(session, Reason):
        result.dropped.append(Dropped(event.site.id, event.domain, session))
        return None
    result.buffered.append(event.domain)
    result.missing_rates += event.revenue.lacks_rate
    return make_row(event, session)


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
