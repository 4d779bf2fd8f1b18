"""`POST /api/event`: what the Plausible tracker sends, unmodified, and its answers.

A drop is no error: the answer is 202 either way, with the number of dropped events in
`x-plausible-dropped` and, which Plausible never tells, the reasons in
`x-headwater-dropped`. `event_trace.py` says what `?debug=1` answers.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import msgspec
from starlette.types import Receive, Scope, Send

from headwater_ingest.enrich.address import CLIENT_HEADERS, read_client
from headwater_ingest.enrich.client_hints import HINT_HEADERS, ClientHints
from headwater_ingest.enrich.networks import NetworkSet
from headwater_ingest.errors import JournalClosedError, JournalError
from headwater_ingest.http.body import read_body
from headwater_ingest.http.event_trace import Tracer
from headwater_ingest.http.native import Door
from headwater_ingest.http.plausible_body import (
    MalformedJsonError,
    UnreadableBodyError,
    is_parsed,
    kind_of,
    max_bytes,
    read_object,
)
from headwater_ingest.http.plausible_fields import read_fields
from headwater_ingest.http.refusal import ClientGoneError, RequestRefusedError
from headwater_ingest.http.respond import CORS
from headwater_ingest.pipeline.web.pipeline import Result, WebPipeline
from headwater_ingest.pipeline.web.request import WebFields, WebRequest
from headwater_ingest.pipeline.web.steps import Sites
from headwater_ingest.telemetry.metrics import Metrics
from headwater_schema.outcomes import ErrorCode, Outcome

_T = TypeVar("_T")
_Headers = Mapping[str, str]
_Pairs = tuple[tuple[bytes, bytes], ...]

_ALLOWED: Final = (
    b"Authorization,Content-Type,Accept,Origin,User-Agent,DNT,Cache-Control,"
    b"X-Mx-ReqToken,Keep-Alive,X-Requested-With,If-Modified-Since,X-CSRF-Token"
)
_PREFLIGHT: Final[_Pairs] = (
    *CORS,
    (b"access-control-max-age", b"1728000"),
    (b"access-control-allow-methods", b"GET,POST,PUT,PATCH,DELETE,OPTIONS"),
    (b"access-control-allow-headers", _ALLOWED),
)
_CLOSE: Final = (b"connection", b"close")
_ACCEPTED: Final = frozenset({"*/*", "application/*", "application/json"})
_READ_HEADERS: Final = {
    name.encode(): name
    for name in ("accept", "content-type", "user-agent", *CLIENT_HEADERS, *HINT_HEADERS)
}


_PLAIN_ACCEPTS: Final = ("", "*/*")


class _Answer(NamedTuple):
    """An answer to a request, whole."""

    status: int
    headers: _Pairs
    body: bytes = b""

    def plus(self, *headers: tuple[bytes, bytes]) -> "_Answer":
        """Returns the answer with more headers."""
        return self._replace(headers=(*self.headers, *headers))


def _with_body(status: int, body: bytes, kind: bytes, *headers: _Pairs) -> _Answer:
    about = (
        (b"content-type", b"%b; charset=utf-8" % kind),
        (b"content-length", b"%d" % len(body)),
    )
    return _Answer(status, (*(pair for each in headers for pair in each), *about), body)


def _text(status: int, body: bytes, headers: _Pairs = CORS) -> _Answer:
    return _with_body(status, body, b"text/plain", headers)


def _json(status: int, body: bytes, headers: _Pairs = ()) -> _Answer:
    return _with_body(status, body, b"application/json", CORS, headers)


_TAKEN: Final = _text(202, b"ok")
_PREFLIGHT_ANSWER: Final = _Answer(204, _PREFLIGHT)
_NO_OPTIONS: Final = _text(404, b"Not Found", ())
_NO_ROUTE: Final = _text(404, b"Not Found")
_NOT_ACCEPTABLE: Final = _text(406, b"Not Acceptable")
_BAD_REQUEST: Final = _json(400, b'{"status":400,"message":"Bad Request"}')
_NO_JSON: Final = _json(
    400, b'{"errors":{"request":["Unable to parse request body as json"]}}'
)
_TOO_LARGE: Final = _json(413, b'{"status":413,"message":"Request Entity Too Large"}')
_BUSY: Final = _json(
    503, b'{"status":503,"message":"Service Unavailable"}', ((b"retry-after", b"5"),)
)


class _RefusedError(Exception):
    """A request is not understood, and this is the answer."""

    def __init__(self, answer: _Answer, code: ErrorCode) -> None:
        super().__init__(answer.status)
        self.answer = answer
        self.code = code


class SiteDirectory(Sites, Protocol):
    """Where a site is found by its name, as far as all are known."""

    @property
    def is_whole(self) -> bool:
        """Whether there can be no other sites."""


class EventEndpoint:
    """The route of web events. Plain ASGI: nothing stands between it and uvicorn."""

    def __init__(  # noqa: PLR0913  # its parts, each named
        self,
        pipeline: WebPipeline,
        *,
        trusted: NetworkSet,
        door: Door,
        metrics: Metrics,
        tracer: Tracer,
        sites: SiteDirectory,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._pipeline = pipeline
        self._tracer = tracer
        self._sites = sites
        self._trusted = trusted
        self._door = door
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Takes the event of one request and answers."""
        try:
            answer = await self._answer(scope, receive)
        except _RefusedError as refusal:
            self._metrics.count_refused(refusal.code)
            answer = refusal.answer
        except ClientGoneError:
            return
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": answer.headers,
            }
        )
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Scope, receive: Receive) -> _Answer:
        # Of a header that comes twice the first one counts.
        raw = dict(reversed(scope["headers"]))
        method = scope["method"]
        if method == "OPTIONS":
            is_preflight = b"access-control-request-method" in raw
            return _PREFLIGHT_ANSWER if is_preflight else _NO_OPTIONS
        if method != "POST":
            return _NO_ROUTE
        headers = _read_headers(raw)
        if not _accepts_json(headers.get("accept", "")):
            return await _refuse_client(receive, raw, headers)
        if self._door.refusing:
            raise _RefusedError(_BUSY.plus(_CLOSE), ErrorCode.DRAINING)
        fields = _read_fields(await _read(receive, raw, headers))
        self._check_sites(fields)
        request = self._make_request(fields, scope, headers)
        query = scope["query_string"]
        if query and self._tracer.admits(query, raw):
            result, body = await _settle(self._tracer.trace(request, raw))
            return self._answer_to(request, result, _json(202, body))
        result = await _settle(self._pipeline.build_and_buffer(request))
        return self._answer_to(request, result, _TAKEN)

    def _check_sites(self, fields: WebFields) -> None:
        """Refuses what may be for a site that this node cannot know of yet.

        Raises:
            _RefusedError: Nobody can say whose it is.
        """
        if self._sites.is_whole:
            return
        if not all(map(self._sites.by_domain, fields.domains)):
            raise _RefusedError(_BUSY, ErrorCode.SITES_UNKNOWN)

    def _make_request(
        self, fields: WebFields, scope: Scope, headers: _Headers
    ) -> WebRequest:
        peer = scope.get("client") or ("", 0)
        now_ms = self._clock()
        return WebRequest(
            received_at_ms=now_ms,
            time_s=now_ms // 1000,
            fields=fields,
            user_agent=headers.get("user-agent", ""),
            hints=ClientHints.from_headers(headers),
            client=read_client(headers, peer[0], trusted=self._trusted),
        )

    def _answer_to(
        self, request: WebRequest, result: Result, taken: _Answer
    ) -> _Answer:
        """Counts a request that was taken, and names the drops in its answer."""
        self._count(request, result)
        if not result.dropped:
            return taken
        reasons = ", ".join(dict.fromkeys(each.reason for each in result.dropped))
        return taken.plus(
            (b"x-plausible-dropped", b"%d" % len(result.dropped)),
            (b"x-headwater-dropped", reasons.encode()),
        )

    def _count(self, request: WebRequest, result: Result) -> None:
        if result.buffered:
            self._metrics.count_events(Outcome.ACCEPTED, len(result.buffered))
        if result.missing_rates:
            self._metrics.count_missing_rates(result.missing_rates)
        if request.fields.truncated_props:
            self._metrics.count_truncated_props(request.fields.truncated_props)
        for each in result.dropped:
            self._metrics.count_events(Outcome.DROPPED, 1, each.reason)


def _read_headers(raw: Mapping[bytes, bytes]) -> _Headers:
    """Returns the headers that somebody reads, as text."""
    return {
        name: value.decode("utf-8", "replace")
        for sent, value in raw.items()
        if (name := _READ_HEADERS.get(sent)) is not None
    }


async def _settle(work: Awaitable[_T]) -> _T:
    """Returns what the pipeline answers.

    Raises:
        _RefusedError: The journal does not take the rows.
    """
    try:
        return await work
    except JournalClosedError:
        raise _RefusedError(_BUSY.plus(_CLOSE), ErrorCode.DRAINING) from None
    except JournalError:
        raise _RefusedError(_BUSY, ErrorCode.JOURNAL_FULL) from None


async def _refuse_client(
    receive: Receive, raw: Mapping[bytes, bytes], headers: _Headers
) -> _Answer:
    """Answers a client that takes no JSON; a body that says what it is goes first.

    Raises:
        _RefusedError: It is not what it says.
        ClientGoneError: It ended early.
    """
    if is_parsed(kind_of(headers.get("content-type", ""))):
        await _read(receive, raw, headers)
    return _NOT_ACCEPTABLE


async def _read(
    receive: Receive, raw: Mapping[bytes, bytes], headers: _Headers
) -> Mapping[str, Any]:
    """Returns what the body of a request holds.

    Raises:
        _RefusedError: It cannot be read.
        ClientGoneError: It ended early.
    """
    content_type = headers.get("content-type", "")
    kind = kind_of(content_type)
    try:
        body = await read_body(receive, raw, max_bytes=max_bytes(kind))
        return read_object(body, content_type)
    except RequestRefusedError as refusal:
        # What is left of the body stands in the way of the next request.
        is_known = is_parsed(kind) and refusal.code == ErrorCode.TOO_LARGE
        answer = (_TOO_LARGE if is_known else _NO_JSON).plus(_CLOSE)
        raise _RefusedError(answer, refusal.code) from None
    except MalformedJsonError:
        raise _RefusedError(_BAD_REQUEST, ErrorCode.MALFORMED_BODY) from None
    except UnreadableBodyError:
        raise _RefusedError(_NO_JSON, ErrorCode.MALFORMED_BODY) from None


def _read_fields(sent: Mapping[str, Any]) -> WebFields:
    """Returns the fields of a request.

    Raises:
        _RefusedError: Some have faults.
    """
    fields = read_fields(sent)
    if isinstance(fields, WebFields):
        return fields
    body = msgspec.json.encode({"errors": fields})
    raise _RefusedError(_json(400, body), ErrorCode.MALFORMED_BODY)


def _accepts_json(accept: str) -> bool:
    """Whether an Accept header admits JSON, as nearly all do."""
    return accept in _PLAIN_ACCEPTS or any(
        part.partition(";")[0].strip().lower() in _ACCEPTED
        for part in accept.split(",")
    )
