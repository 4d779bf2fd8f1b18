"""The ASGI application of a worker: events here, everything else at the owner."""

from collections.abc import Sequence
from typing import Final

from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from headwater_ingest.http.routes import EVENT_PATH, direct_takers


class WorkerApplication:
    """Knows which requests are for events: for web events, whatever their method."""

    def __init__(self, routes: Sequence[Route], *, elsewhere: ASGIApp) -> None:
        self._endpoints: dict[str, ASGIApp] = {
            each.path: each.endpoint for each in routes
        }
        self.takers: Final = direct_takers(routes)
        self._elsewhere = elsewhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"]
        is_event = scope["method"] == "POST" or path == EVENT_PATH
        endpoint = self._endpoints.get(path) if is_event else None
        await (endpoint or self._elsewhere)(scope, receive, send)
