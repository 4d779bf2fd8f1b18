"""Which path is served by whom."""

from collections.abc import Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from headwater_ingest.http import direct
from headwater_ingest.http.native import (
    BatchEndpoint,
    Door,
    Taker,
    decode_ingest_events,
    decode_user_properties,
)
from headwater_ingest.http.no_route import answer_no_route
from headwater_ingest.http.plausible import EventEndpoint
from headwater_ingest.telemetry.metrics import Metrics

EVENT_PATH: Final = "/api/event"


class Application(Starlette):
    """Starlette, with a short way to the routes that take events.

    Its layers cost a third of a web event's request, and do nothing for these routes:
    they are ASGI applications that answer whatever happens.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        super().__init__(
            routes=routes, exception_handlers={HTTPException: answer_no_route}
        )
        self._endpoints: dict[str, ASGIApp] = {
            each.path: each.endpoint
            for each in routes
            if isinstance(each.endpoint, BatchEndpoint | EventEndpoint)
        }

    @property
    def takers(self) -> dict[str, direct.Taker]:
        """What plain requests go to past the application, by path."""
        return direct_takers(self.routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        is_post = scope["type"] == "http" and scope["method"] == "POST"
        endpoint = self._endpoints.get(scope["path"]) if is_post else None
        await (endpoint or super().__call__)(scope, receive, send)


def direct_takers(routes: Sequence[BaseRoute]) -> dict[str, direct.Taker]:
    """Returns those endpoints that plain requests may go to directly, by path."""
    return {
        each.path: each.endpoint
        for each in routes
        if isinstance(each, Route) and isinstance(each.endpoint, EventEndpoint)
    }


def ingest_routes(intake: Taker, *, door: Door, metrics: Metrics) -> list[Route]:
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
