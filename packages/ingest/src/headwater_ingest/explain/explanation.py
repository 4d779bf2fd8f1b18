"""What would become of a request: the routes of the service, watched at work."""

from dataclasses import replace
from typing import Any, Final

import msgspec

from headwater_ingest.explain.batch_watch import BatchWatch
from headwater_ingest.explain.bystanders import OpenDoor
from headwater_ingest.explain.exchange import Answer, exchange
from headwater_ingest.explain.hints import find_form_hint, find_hints
from headwater_ingest.explain.http_request import HttpRequest
from headwater_ingest.explain.surroundings import Surroundings
from headwater_ingest.explain.web_watch import WebWatch
from headwater_ingest.http.routes import (
    EVENT_PATH,
    Application,
    event_route,
    ingest_routes,
)
from headwater_ingest.pipeline.trace import EventTrace, to_time
from headwater_ingest.telemetry.metrics import Metrics
from headwater_ingest.version import VERSION

_ASKS: Final = b"debug=1"


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of a request.

    Attributes:
        request: Method, path, peer and time.
        answer: What its client would get.
        notes: On what this is founded, and what is not known here.
        parsed: What was understood; None if nothing was.
        events: The way of each event.
        hints: What each reason means, and what to do.
    """

    request: dict[str, Any]
    answer: Answer
    notes: list[str]
    parsed: dict[str, Any] | None
    events: list[EventTrace]
    hints: dict[str, str]


async def explain(
    request: HttpRequest, around: Surroundings, *, peer: str
) -> Explanation:
    """Returns what would become of a request. Nothing is written or counted.

    Args:
        request: The request.
        around: What it meets.
        peer: Who is at the other end of the connection.
    """
    web, batches = WebWatch(around), BatchWatch(around)
    answer = await exchange(_make_app(web, batches), _ask(request), peer=peer)
    events = web.events or batches.trace(answer)
    return Explanation(
        request={
            "method": request.method,
            "path": request.path,
            "peer": peer,
            "at": to_time(around.clock()),
        },
        answer=answer,
        notes=[*around.notes, *request.notes, *web.notes(), *batches.notes()],
        parsed=web.parsed or batches.parsed,
        events=events,
        hints=find_hints(answer, events) | find_form_hint(request, answer),
    )


def _make_app(web: WebWatch, batches: BatchWatch) -> Application:
    """Returns the routes of the service that take events."""
    door, metrics = OpenDoor(), Metrics(VERSION)
    intake = batches.make_intake(metrics)
    return Application(
        routes=[
            event_route(web.make_endpoint(door, metrics)),
            *ingest_routes(intake, door=door, metrics=metrics),
        ]
    )


def _ask(request: HttpRequest) -> HttpRequest:
    """Returns a request that asks for its trace, as far as it can."""
    is_web = request.path == EVENT_PATH
    return replace(request, query=_ASKS) if is_web else request
