"""What all web frameworks have in common: a request, and the events around it."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypedDict, TypeVar
from uuid import uuid4

from headwater._capturing import Capturing
from headwater._default import default_client
from headwater._encoder import PersonId
from headwater._reporter import logger

PAGEVIEW: Final = "pageview"

_REQUEST_ID: Final = re.compile(r"[!-~]{1,200}")
_R_contra = TypeVar("_R_contra", contravariant=True)


class WebOptions(TypedDict, total=False):
    """What every web integration takes by keyword.

    Attributes:
        client: The client, or None for the default one. Default None.
        pageviews: Capture `pageview` for each HTML page that is served to somebody
            whom `distinct_id` names. Default False.
        exceptions: Capture what the application does not handle. Default False.
        ip: Send the address of the user as `$ip`: for the place, never stored.
            Default False.
        user_agent: Send `$user_agent`: for the device, never stored. Default False.
    """

    client: Capturing | None
    pageviews: bool
    exceptions: bool
    ip: bool
    user_agent: bool


class NameUser(Protocol[_R_contra]):
    """Returns who makes a request, or None if nobody knows."""

    def __call__(self, request: _R_contra, /) -> PersonId | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRequest:
    """What a framework knows of a request.

    Attributes:
        method: `GET` and so on.
        url: The whole of it.
        headers: Returns one by its lower-case name, or None.
        ip: The address of the user, or "".
    """

    method: str
    url: str
    headers: Callable[[str], str | None]
    ip: str


class RequestEvents:
    """The context of a request, and the events that it brings about itself.

    Args:
        options: See `WebOptions`.
        name: Says who makes a request of the framework.

    Raises:
        TypeError: There is no such option.
    """

    def __init__(self, options: WebOptions, name: NameUser[Any] | None) -> None:
        unknown = options.keys() - WebOptions.__annotations__.keys()
        if unknown:
            raise TypeError(f"no such options: {', '.join(sorted(unknown))}")
        self._name = name
        self._has_complained = False
        self._given = options.get("client")
        self._pageviews = options.get("pageviews", False)
        self._exceptions = options.get("exceptions", False)
        self._ip = options.get("ip", False)
        self._user_agent = options.get("user_agent", False)

    def who(self, request: object) -> PersonId | None:
        """Returns what the application says who it is, or None if it fails to."""
        if self._name is None:
            return None
        try:
            return self._name(request)
        except Exception:  # noqa: BLE001 - a request does not fail by whose it is
            if not self._has_complained:
                self._has_complained = True
                logger.warning("distinct_id has raised; nobody is named", exc_info=True)
            return None

    @property
    def _client(self) -> Capturing:
        # Looked up each time: `headwater.init` may come later, or again.
        return self._given or default_client()

    def context(
        self, request: WebRequest, distinct_id: PersonId | None
    ) -> AbstractContextManager[None]:
        """Returns the block of code in which the request is answered."""
        return self._client.context(distinct_id=distinct_id, **self._describe(request))

    def answered(
        self,
        request: WebRequest,
        distinct_id: PersonId | None,
        *,
        status: int,
        content_type: str,
    ) -> None:
        """Captures a pageview, if it was one. To be called in the context."""
        if (
            self._pageviews
            and distinct_id is not None
            and request.method == "GET"
            and 200 <= status < 300
            and content_type.startswith("text/html")
        ):
            self._client.capture(distinct_id, PAGEVIEW)

    def failed(self, error: BaseException) -> None:
        """Captures an exception that the application did not handle."""
        if self._exceptions:
            self._client.capture_exception(error, handled=False)

    def _describe(self, request: WebRequest) -> dict[str, Any]:
        described: dict[str, Any] = {
            "$request_id": _request_id(request.headers("x-request-id")),
            "$request_method": request.method,
            "$current_url": request.url,
        }
        if referrer := request.headers("referer"):
            described["$referrer"] = referrer
        if self._ip and request.ip:
            described["$ip"] = request.ip
        if self._user_agent and (agent := request.headers("user-agent")):
            described["$user_agent"] = agent
        return described


def _request_id(given: str | None) -> str:
    """Returns the id that a proxy gave the request, or a new one."""
    if given and _REQUEST_ID.fullmatch(given):
        return given
    return uuid4().hex
