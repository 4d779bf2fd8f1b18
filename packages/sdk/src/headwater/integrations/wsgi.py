"""Middleware for WSGI applications. Flask has its own: `headwater.integrations.flask`.

::

    application = HeadwaterMiddleware(application, exceptions=True)
"""

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Unpack
from wsgiref.util import request_uri

from headwater._encoder import PersonId
from headwater.integrations._requests import (
    NameUser,
    RequestEvents,
    WebOptions,
    WebRequest,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Environ = dict[str, Any]


class HeadwaterMiddleware:
    """Gives events captured in a request its id, method, URL and referrer.

    It holds until the body of the answer has been sent. The address is `REMOTE_ADDR`:
    behind a proxy let a middleware outside of this one replace it.

    Args:
        application: The application.
        distinct_id: Returns who makes the request, from its environment.
        options: See `headwater.integrations._requests.WebOptions`.
    """

    def __init__(
        self,
        application: "WSGIApplication",
        *,
        distinct_id: NameUser[Environ] | None = None,
        **options: Unpack[WebOptions],
    ) -> None:
        self._application = application
        self._events = RequestEvents(options, distinct_id)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answers a request."""

        def answer(stack: ExitStack) -> Iterable[bytes]:
            request = read_environ(environ)
            who = self._events.who(environ)
            stack.enter_context(self._events.context(request, who))
            try:
                return self._application(
                    environ, self._watched(start_response, request, who)
                )
            except Exception as error:
                self._events.failed(error)
                raise

        return answer_in_context(environ, answer, self._events.failed)

    def _watched(
        self, start_response: "StartResponse", request: WebRequest, who: PersonId | None
    ) -> "StartResponse":
        def watched(
            status: str, headers: list[tuple[str, str]], *exc_info: Any
        ) -> Callable[[bytes], object]:
            named = {name.lower(): value for name, value in headers}
            self._events.answered(
                request,
                who,
                status=int(status[:3]),
                content_type=named.get("content-type", ""),
            )
            return start_response(status, headers, *exc_info)

        return watched


def answer_in_context(
    environ: "WSGIEnvironment",
    answer: Callable[[ExitStack], Iterable[bytes]],
    failed: Callable[[BaseException], None],
) -> Iterable[bytes]:
    """Returns the body of an answer, made in a context that lasts until it is closed.

    Args:
        environ: The environment of the request.
        answer: Answers it; what it puts on the stack is undone at the end.
        failed: Called with what is raised while the body is made.
    """
    # A copy, since the server takes the body after this call has returned.
    context = copy_context()
    stack = ExitStack()
    try:
        body = context.run(answer, stack)
    except BaseException:
        context.run(stack.close)
        raise
    wrapper = environ.get("wsgi.file_wrapper")
    # It may be a function, as that of uWSGI; what that returns is sent as any body.
    if isinstance(wrapper, type) and isinstance(body, wrapper):
        # The server sends this by itself, and faster.
        context.run(stack.close)
        return body
    return _Body(context, stack, body, failed)


class _Body:
    """The body of an answer, made in the context of its request."""

    def __init__(
        self,
        context: Context,
        stack: ExitStack,
        body: Iterable[bytes],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._context = context
        # Not in `__del__`: the collector may end what is on the stack before us, and
        # in no context at all.
        self._finish = weakref.finalize(self, context.run, stack.close)
        self._finish.atexit = False
        self._body = body
        self._failed = failed

    def __iter__(self) -> Iterator[bytes]:
        chunks = self._context.run(iter, self._body)
        while True:
            try:
                chunk = self._context.run(next, chunks)
            except StopIteration:
                return
            except Exception as error:
                self._context.run(self._failed, error)
                raise
            yield chunk

    def close(self) -> None:
        """Closes the body, and with it the context, as a server does at the end."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                self._context.run(close)
        finally:
            self._finish()


def read_environ(environ: "WSGIEnvironment") -> WebRequest:
    """Returns what the environment says of its request."""

    def find(name: str) -> str | None:
        found: str | None = environ.get("HTTP_" + name.upper().replace("-", "_"))
        return found

    return WebRequest(
        method=environ["REQUEST_METHOD"],
        url=request_uri(environ),
        headers=find,
        ip=environ.get("REMOTE_ADDR", ""),
    )
