"""Middleware for Django, with and without async.

::

    MIDDLEWARE = [..., "headwater.integrations.django.HeadwaterMiddleware"]
    HEADWATER = {"exceptions": True, "distinct_id": "shop.users.name_of"}

`HEADWATER` in the settings is optional. It holds what `WebOptions` says, and
`distinct_id`: a function, or the path of one, that returns who makes a request.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import (
    iscoroutinefunction,
    markcoroutinefunction,
    sync_to_async,
)
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.utils.module_loading import import_string

from headwater._encoder import PersonId
from headwater.integrations._requests import (
    NameUser,
    RequestEvents,
    WebRequest,
)


class HeadwaterMiddleware:
    """Gives events captured in a request its id, method, URL and referrer.

    Place it after the middleware that `distinct_id` needs, such as that of sessions
    and users. The address is `REMOTE_ADDR`.

    Args:
        get_response: What answers the request, as Django gives it.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response
        options = dict(getattr(settings, "HEADWATER", {}))
        name: NameUser[Any] | None = _load(options.pop("distinct_id", None))
        options["client"] = _load(options.get("client"))
        self._events = RequestEvents(options, name)  # type: ignore[arg-type] # it checks them
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        """Answers a request, or returns what does so when it is awaited."""
        if self._is_async:
            return self._answer_async(request)
        known, who = _read(request), self._events.who(request)
        with self._events.context(known, who):
            response = self._get_response(request)
            self._answered(known, who, response)
        return response

    async def _answer_async(self, request: Any) -> Any:
        # It may look into the database, as `request.user` does.
        who = await sync_to_async(self._events.who)(request)
        known = _read(request)
        with self._events.context(known, who):
            answer: Awaitable[Any] = self._get_response(request)
            response = await answer
            self._answered(known, who, response)
        return response

    def process_exception(self, _request: Any, exception: Exception) -> None:
        """Captures what a view has raised; Django goes on with it."""
        self._events.failed(exception)

    def _answered(self, known: WebRequest, who: PersonId | None, response: Any) -> None:
        self._events.answered(
            known,
            who,
            status=response.status_code,
            content_type=response.headers.get("Content-Type", ""),
        )


def _load(path: Any) -> Any:
    return import_string(path) if isinstance(path, str) else path


def _read(request: Any) -> WebRequest:
    return WebRequest(
        method=request.method,
        url=_url(request),
        headers=request.headers.get,
        ip=request.META.get("REMOTE_ADDR", ""),
    )


def _url(request: Any) -> str:
    try:
        return str(request.build_absolute_uri())
    except DisallowedHost:
        # To refuse it is for the view, not for us.
        return str(request.get_full_path())
