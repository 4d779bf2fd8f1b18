"""Middleware for ASGI applications: Starlette, FastAPI and others.

::

    app = FastAPI()
    app.add_middleware(HeadwaterMiddleware, exceptions=True)
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Unpack

from headwater._encoder import PersonId
from headwater.integrations._requests import (
    NameUser,
    RequestEvents,
    WebOptions,
    WebRequest,
)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class HeadwaterMiddleware:
    """Gives events captured in a request its id, method, URL and referrer.

    The address is that of the connection: behind a proxy let the server replace it
    (`uvicorn --proxy-headers`).

    Args:
        app: The application.
        distinct_id: Returns who makes the request, from its scope. It is called before
            the application; put middleware that it needs, such as that of sessions,
            outside of this one.
        options: See `headwater.integrations._requests.WebOptions`.
    """

    def __init__(
        self,
        app: AsgiApp,
        *,
        distinct_id: NameUser[Scope] | None = None,
        **options: Unpack[WebOptions],
    ) -> None:
        self._app = app
        self._events = RequestEvents(options, distinct_id)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        request = _read(scope)
        who = self._events.who(scope)
        with self._events.context(request, who):
            try:
                await self._app(scope, receive, self._watched(send, request, who))
            except Exception as error:
                self._events.failed(error)
                raise

    def _watched(self, send: Send, request: WebRequest, who: PersonId | None) -> Send:
        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._events.answered(
                    request,
                    who,
                    status=message["status"],
                    content_type=_find(message.get("headers", ()), b"content-type")
                    or "",
                )
            await send(message)

        return watched


def _read(scope: Scope) -> WebRequest:
    headers = scope["headers"]

    def find(name: str) -> str | None:
        return _find(headers, name.encode())

    return WebRequest(
        method=scope.get("method", "GET"),
        url=_url(scope, find("host")),
        headers=find,
        ip=(scope.get("client") or ("",))[0],
    )


def _url(scope: Scope, host: str | None) -> str:
    if host is None:
        name, port = scope.get("server") or ("", "")
        host = f"{name}:{port}"
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope.get("query_string", b"")
    where = (path + b"?" + query if query else path).decode("latin-1")
    return f"{scope.get('scheme', 'http')}://{host}{where}"


def _find(headers: Any, wanted: bytes) -> str | None:
    for name, value in headers:
        if name.lower() == wanted:
            return str(value.decode("latin-1"))
    return None
