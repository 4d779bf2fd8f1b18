"""The extension for Flask.

::

    app = Flask(__name__)
    Headwater(app, exceptions=True, distinct_id=lambda request: session.get("user_id"))
"""

from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Unpack

import flask
from flask.signals import got_request_exception

from headwater._encoder import PersonId
from headwater.integrations._requests import (
    NameUser,
    RequestEvents,
    WebOptions,
    WebRequest,
)
from headwater.integrations.wsgi import answer_in_context, read_environ

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_STACK: Final = "headwater.stack"


class Headwater:
    """Gives events captured in a request its id, method, URL and referrer.

    Exceptions are those that Flask answers with "Internal Server Error", whether it
    propagates them or not.

    Args:
        app: The application, or None to call `init_app` later.
        distinct_id: Returns who makes the request; session and `g` are there. Make
            this extension after those that it needs.
        options: See `headwater.integrations._requests.WebOptions`.
    """

    def __init__(
        self,
        app: flask.Flask | None = None,
        *,
        distinct_id: NameUser[flask.Request] | None = None,
        **options: Unpack[WebOptions],
    ) -> None:
        self._events = RequestEvents(options, distinct_id)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Has the extension take care of `app`."""
        app.before_request(self._begin)
        app.after_request(self._answered)
        app.wsgi_app = self._wrapped(app.wsgi_app)  # type: ignore[method-assign, assignment] # as Flask advises
        # Signals forget those who are held by nobody else.
        got_request_exception.connect(self._failed, app)
        app.extensions["headwater"] = self

    def _wrapped(self, application: "WSGIApplication") -> "WSGIApplication":
        """Returns the application with a context that streamed answers have, too."""

        def wrapped(
            environ: "WSGIEnvironment", start_response: "StartResponse"
        ) -> Iterable[bytes]:
            def answer(stack: ExitStack) -> Iterable[bytes]:
                environ[_STACK] = stack
                return application(environ, start_response)

            return answer_in_context(environ, answer, self._events.failed)

        return wrapped

    def _begin(self) -> None:
        stack: ExitStack | None = flask.request.environ.get(_STACK)
        if stack is None:
            # A request that a test has made up; nobody would end its context.
            return
        request = read_environ(flask.request.environ)
        who = self._events.who(flask.request)
        flask.g.headwater = (request, who)
        stack.enter_context(self._events.context(request, who))

    def _answered(self, response: flask.Response) -> flask.Response:
        known: tuple[WebRequest, PersonId | None] | None = flask.g.get("headwater")
        # Another extension may have answered before we were asked.
        if known is not None:
            self._events.answered(
                *known,
                status=response.status_code,
                content_type=response.content_type or "",
            )
        return response

    def _failed(self, _app: flask.Flask, exception: BaseException, **_: Any) -> None:
        self._events.failed(exception)
