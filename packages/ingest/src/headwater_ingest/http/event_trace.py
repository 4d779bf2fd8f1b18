"""`POST /api/event?debug=1`: the answer is a trace of what was done to the event.

Only who sends a write key gets one, and sees the steps of the key's own site. The event
is taken, counted and stored as ever: nothing differs but the body of the answer. For
anybody else the parameter means nothing.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

import msgspec

from headwater_ingest.http.body import Headers
from headwater_ingest.http.keys import read_key
from headwater_ingest.pipeline.trace import EventTrace, to_time
from headwater_ingest.pipeline.web.pipeline import Buffer, Result
from headwater_ingest.pipeline.web.request import WebRequest
from headwater_ingest.pipeline.web.steps import Step
from headwater_ingest.pipeline.web.trace import TracedEvent, trace_request
from headwater_ingest.sites.model import Site
from headwater_ingest.visitors.sessions import SessionStore

_ASKS: Final = ("debug", "1")
_MAX_QUERY_BYTES: Final = 1000
_SITELESS: Final = 0


class KeyedSites(Protocol):
    """Where a site is found by its write key."""

    def by_key(self, key: str) -> Site | None:
        """Returns the site that a write key belongs to."""


class Tracer(Protocol):
    """What tells the way of an event."""

    def admits(self, query: bytes, headers: Headers) -> bool:
        """Whether a request asks for a trace, and may have it."""

    async def trace(
        self, request: WebRequest, headers: Headers
    ) -> tuple[Result, bytes]:
        """Takes a request through the pipeline; returns what came of it, and how."""


class KeyholderTracer:
    """Tells those who hold a write key of a site."""

    def __init__(
        self,
        steps: Sequence[tuple[str, Step]],
        *,
        sites: KeyedSites,
        sessions: SessionStore,
        buffer: Buffer,
    ) -> None:
        self._steps = steps
        self._sites = sites
        self._sessions = sessions
        self._buffer = buffer

    def admits(self, query: bytes, headers: Headers) -> bool:
        """Whether a request asks for a trace, and has the key of a site."""
        if len(query) > _MAX_QUERY_BYTES:
            return False
        name, value = _ASKS
        asked = parse_qs(query.decode("latin-1")).get(name)
        return asked == [value] and self._find_site(headers) is not None

    async def trace(
        self, request: WebRequest, headers: Headers
    ) -> tuple[Result, bytes]:
        """Takes a request through the pipeline; returns what came of it, and how."""
        site = self._find_site(headers)
        result, events = await trace_request(
            request, self._steps, sessions=self._sessions, buffer=self._buffer
        )
        told = (_SITELESS, site.id) if site else (_SITELESS,)
        traces = [
            each.trace if each.site_id in told else _without_steps(each)
            for each in events
        ]
        return result, encode_traces(request, traces)

    def _find_site(self, headers: Headers) -> Site | None:
        key = read_key(headers)
        return self._sites.by_key(key) if key else None


def encode_traces(request: WebRequest, traces: Sequence[EventTrace]) -> bytes:
    """Returns the answer: what was understood, and the way of each event."""
    return _encode({"request": show_request(request), "events": traces})


def show_request(request: WebRequest) -> dict[str, Any]:
    """Returns a request as it was understood, by the names of its fields."""
    fields = msgspec.structs.asdict(request.fields)
    return {
        "received_at": to_time(request.received_at_ms),
        **fields,
        "page": fields["page"]._asdict(),
        "money": fields["money"] and fields["money"]._asdict(),
        "client": msgspec.structs.asdict(request.client),
    }


def _without_steps(event: TracedEvent) -> EventTrace:
    """Returns no more than any sender is told."""
    whole = event.trace
    return EventTrace(event=whole.event, outcome=whole.outcome, reason=whole.reason)


_encode: Final = msgspec.json.Encoder().encode
