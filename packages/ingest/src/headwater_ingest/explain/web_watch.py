"""Watches what the pipeline does to a web event."""

from typing import Any, Final

from headwater_ingest.explain.bystanders import AssumedSessions, NoBuffer
from headwater_ingest.explain.surroundings import WINDOW_UNKNOWN, Surroundings
from headwater_ingest.http.body import Headers
from headwater_ingest.http.event_trace import show_request
from headwater_ingest.http.native import Door
from headwater_ingest.http.plausible import EventEndpoint
from headwater_ingest.pipeline.trace import EventTrace
from headwater_ingest.pipeline.web.pipeline import Result, WebPipeline
from headwater_ingest.pipeline.web.request import WebRequest
from headwater_ingest.pipeline.web.steps import WebSteps
from headwater_ingest.pipeline.web.trace import trace_request
from headwater_ingest.telemetry.metrics import Metrics
from headwater_ingest.visitors.salts import Salts

_ASSUMED: Final = (
    "it is assumed that the visitor has an open session, without which an engagement "
    "is dropped"
)
_ASK: Final = "`?debug=1` asks the service itself"


class WebWatch:
    """Takes the events of one request through the pipeline, and keeps what it did.

    Attributes:
        parsed: What was understood; None if nothing was.
        events: The way of the event for each domain.
    """

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        # Salts of nobody: who knows the real ones could tell who a visitor is.
        self._steps = WebSteps(
            around.enrichment, sites=around.sites, gate=around.gate, salts=Salts()
        ).ordered()
        self._sessions = AssumedSessions()
        self._buffer = NoBuffer()
        self.parsed: dict[str, Any] | None = None
        self.events: list[EventTrace] = []

    def make_endpoint(self, door: Door, metrics: Metrics) -> EventEndpoint:
        """Returns the route of web events, which has us trace every one."""
        pipeline = WebPipeline(
            self._steps,
            sessions=self._sessions,
            buffer=self._buffer,
            observe=metrics.observe_step,
        )
        return EventEndpoint(
            pipeline,
            tracer=self,
            sites=self._around.sites,
            trusted=self._around.trusted,
            door=door,
            metrics=metrics,
            clock=self._around.clock,
        )

    def admits(self, _query: bytes, _headers: Headers, /) -> bool:
        """Tells everything, since only the operator asks."""
        return True

    async def trace(
        self, request: WebRequest, _headers: Headers, /
    ) -> tuple[Result, bytes]:
        """Takes a request through the pipeline."""
        self.parsed = show_request(request)
        result, events = await trace_request(
            request, self._steps, sessions=self._sessions, buffer=self._buffer
        )
        self.events = [each.trace for each in events]
        return result, b"ok"

    def notes(self) -> list[str]:
        """Returns what was not known."""
        notes = [_ASSUMED] if self._sessions.has_assumed else []
        domains = [each.event for each in self.events]
        sites = map(self._around.sites.by_domain, domains)
        if any(site and site.rate_limit for site in sites):
            notes.append(WINDOW_UNKNOWN)
        return [f"{each}: {_ASK}" for each in notes]
