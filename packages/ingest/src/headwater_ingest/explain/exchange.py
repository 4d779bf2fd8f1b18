"""One request to an application, without a network."""

from typing import Any, Final

import msgspec
from starlette.types import ASGIApp, Message

from headwater_ingest.explain.http_request import HttpRequest

_PORT: Final = 40_000


class Answer(msgspec.Struct, frozen=True):
    """What a client would get.

    Attributes:
        status: The HTTP status.
        headers: By lower-case name.
        body: As text.
    """

    status: int
    headers: dict[str, str]
    body: str


async def exchange(app: ASGIApp, request: HttpRequest, *, peer: str) -> Answer:
    """Returns the answer of an application to a request of a peer."""
    parts: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": request.body, "more_body": False}

    async def send(message: Message) -> None:
        parts.append(message)

    await app(_scope(request, peer), receive, send)
    start, *bodies = parts
    body = b"".join(each.get("body", b"") for each in bodies)
    headers = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in start["headers"]
    }
    return Answer(start["status"], headers, body.decode("utf-8", "replace"))


def _scope(request: HttpRequest, peer: str) -> dict[str, Any]:
    length = (b"content-length", b"%d" % len(request.body))
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": request.path,
        "query_string": request.query,
        "root_path": "",
        "headers": [*request.headers, length],
        "client": (peer, _PORT),
        "server": ("127.0.0.1", 80),
    }
