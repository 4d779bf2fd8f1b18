"""Which path is served by whom."""

from typing import Final

from starlette.routing import Route
from starlette.types import ASGIApp

from headwater_ingest.http.intake import Intake
from headwater_ingest.http.native import (
    BatchEndpoint,
    Door,
    decode_ingest_events,
    decode_user_properties,
)
from headwater_ingest.http.plausible import EventEndpoint
from headwater_ingest.telemetry.metrics import Metrics

EVENT_PATH: Final = "/api/event"


def ingest_routes(intake: Intake, *, door: Door, metrics: Metrics) -> list[Route]:
    """Returns the routes that take events."""

    def endpoint(path: str, app: ASGIApp) -> Route:
        return Route(path, app, methods=["POST"])

    return [
        endpoint(
            "/ingest-events",
            BatchEndpoint(intake, decode_ingest_events, door=door, metrics=metrics),
        ),
        endpoint(
            "/user-properties",
            BatchEndpoint(intake, decode_user_properties, door=door, metrics=metrics),
        ),
    ]


def event_route(endpoint: EventEndpoint) -> Route:
    """Returns the route of web events, which answers every method itself."""
    return Route(EVENT_PATH, endpoint)
