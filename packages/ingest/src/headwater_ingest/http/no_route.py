"""The answer to a request that no route takes: an error like all others of ours."""

from collections.abc import Iterable
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route

from headwater_schema.batch import ErrorAnswer, ErrorBody
from headwater_schema.codec import encode_json

_NOT_FOUND: Final = 404
_SHOWN_CHARS: Final = 60
_ROUTES: Final = (
    "events go with POST to /ingest-events, /user-properties or /api/event; the state "
    "is at /healthz, /readyz and /metrics; /admin/sites is there if the setting "
    "`admin_token` is set"
)


async def answer_no_route(request: Request, error: Exception) -> Response:
    """Returns what is told to whoever has a path or a method wrong."""
    path = request.scope["path"][:_SHOWN_CHARS]
    status = error.status_code if isinstance(error, HTTPException) else _NOT_FOUND
    if status == _NOT_FOUND:
        return _refuse(status, "unknown_route", f"there is no route {path}: {_ROUTES}")
    methods = ", ".join(_methods(request, request.app.routes))
    message = f"{path} does not take {request.method}: send it with {methods}"
    answer = _refuse(status, "wrong_method", message)
    answer.headers["allow"] = methods
    return answer


def _methods(request: Request, routes: Iterable[BaseRoute]) -> list[str]:
    """Returns the methods that a path is there for."""
    found: set[str] = set()
    for route in routes:
        match, _ = route.matches(request.scope)
        if match is Match.PARTIAL and isinstance(route, Route):
            found |= route.methods or set()
    return sorted(found)


def _refuse(status: int, code: str, message: str) -> Response:
    body = ErrorAnswer(
        error=ErrorBody(code, message), code=code, message=message, detail=message
    )
    return Response(encode_json(body), status, media_type="application/json")
