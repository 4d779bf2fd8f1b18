"""From a web request to rows: `build_and_buffer`, the one entry of the web pipeline."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, Final, Protocol

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


class Buffer(Protocol):
    """Where rows go; what it has taken is on disk."""

    async def append(self, rows: Sequence[Row]) -> None:
        """Returns when the rows of a request are on disk."""

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
    """

    buffered: list[str] = []
    dropped: list[Dropped] = []
    missing_rates: int = 0


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

    async def build_and_buffer(self, request: WebRequest) -> Result:
        """Takes a request through all steps and returns when its rows are on disk."""
        result = Result()
        rows = []
        for domain in request.fields.domains:
            event = WebEvent(request, domain)
            session = self._run(event) or await self._register(event)
            if isinstance(session, Reason):
                result.dropped.append(Dropped(event.site.id, domain, session))
                continue
            rows.append(make_row(event, session))
            result.buffered.append(domain)
            result.missing_rates += event.revenue.lacks_rate
        if rows:
            await self._buffer.append(rows)
        for each in result.dropped:
            self._buffer.count_dropped(each.site_id, each.reason)
        return result

    async def _register(self, event: WebEvent) -> Session | Reason:
        is_timed = self._countdown == _SAMPLE  # as the steps before it were
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
        started = perf_counter()
        for name, step in self._steps:
            reason = step(event)
            ended = perf_counter()
            self._observe(name, ended - started)
            started = ended
            if reason is not None:
                return reason
        return None


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
