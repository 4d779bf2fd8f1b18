"""`POST /api/event`: what the Plausible tracker sends, unmodified, and its answers.

A drop is no error: the answer is 202 either way, with the number of dropped events in
`x-plausible-dropped` and, which Plausible never tells, the reasons in
`x-headwater-dropped`.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec
from starlette.types import Receive, Scope, Send

from headwater_ingest.enrich.address import read_client
from headwater_ingest.enrich.client_hints import read_hints
from headwater_ingest.enrich.networks import NetworkSet
from headwater_ingest.errors import (
    JournalClosedError,
    JournalFullError,
    JournalUnwritableError,
)
from headwater_ingest.http.body import read_body
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
from headwater_ingest.pipeline.web.pipeline import Result, WebPipeline
from headwater_ingest.pipeline.web.request import WebFields, WebRequest
from headwater_ingest.telemetry.metrics import Metrics
from headwater_schema.outcomes import ErrorCode, Outcome

_Pairs = tuple[tuple[bytes, bytes], ...]

_CORS: Final[_Pairs] = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-credentials", b"true"),
    (b"access-control-expose-headers", b""),
)
_PREFLIGHT: Final[_Pairs] = (
    *_CORS,
    (b"access-control-max-age", b"1728000"),
    (b"access-control-allow-methods", b"GET,POST,PUT,PATCH,DELETE,OPTIONS"),
    (
        b"access-control-allow-headers",
        b"Authorization,Content-Type,Accept,Origin,User-Agent,DNT,Cache-Control,"
        b"X-Mx-ReqToken,Keep-Alive,X-Requested-With,If-Modified-Since,X-CSRF-Token",
    ),
)
_JSON: Final = (b"content-type", b"application/json; charset=utf-8")
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
_RETRY_AFTER_S: Final = b"5"


class _Answer(NamedTuple):
    """An answer, complete but for the headers that all have."""

    status: int
    body: bytes = b""
    headers: _Pairs = (_TEXT,)


_NO_ROUTE: Final = _Answer(404, b"Not Found")
_PREFLIGHT_ANSWER: Final = _Answer(204, headers=_PREFLIGHT)
_NOT_ACCEPTABLE: Final = _Answer(406)
_BAD_REQUEST: Final = _Answer(
    400, b'{"status":400,"message":"Bad Request"}', (*_CORS, _JSON)
)
_NO_JSON: Final = _Answer(
    400,
    b'{"errors":{"request":["Unable to parse request body as json"]}}',
    (*_CORS, _JSON),
)
_TOO_LARGE: Final = _Answer(
    413, b'{"status":413,"message":"Request Entity Too Large"}', (*_CORS, _JSON)
)
_BUSY: Final = _Answer(
    503,
    b'{"status":503,"message":"Service Unavailable"}',
    (*_CORS, _JSON, (b"retry-after", _RETRY_AFTER_S)),
)


class EventEndpoint:
    """The route of web events. Plain ASGI: nothing stands between it and uvicorn."""

    def __init__(
        self,
        pipeline: WebPipeline,
        *,
        trusted: NetworkSet,
        door: Door,
        metrics: Metrics,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._pipeline = pipeline
        self._trusted = trusted
        self._door = door
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Takes the event of one request and answers."""
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        try:
            answer = await self._answer(scope, headers, receive)
        except ClientGoneError:
            return
        length = (b"content-length", b"%d" % len(answer.body))
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [*answer.headers, length],
            }
        )
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive
    ) -> _Answer:
        if scope["method"] != "POST":
            is_preflight = "access-control-request-method" in headers
            is_preflight = is_preflight and scope["method"] == "OPTIONS"
            return _PREFLIGHT_ANSWER if is_preflight else _NO_ROUTE
        if not _accepts_json(headers.get("accept", "")):
            return _NOT_ACCEPTABLE
        if self._door.refusing:
            self._metrics.count_refused(ErrorCode.DRAINING)
            return _BUSY
        fields = await self._read(headers, receive)
        if isinstance(fields, _Answer):
            self._metrics.count_refused(ErrorCode.MALFORMED_BODY)
            return fields
        return await self._settle(self._make_request(fields, scope, headers))

    async def _read(
        self, headers: Mapping[str, str], receive: Receive
    ) -> WebFields | _Answer:
        """Returns the fields of a request, or the answer to one that has faults."""
        content_type = headers.get("content-type", "")
        kind = kind_of(content_type)
        try:
            body = await read_body(
                receive, headers.get("content-length", ""), max_bytes=max_bytes(kind)
            )
            fields = read_fields(read_object(body, content_type))
        except RequestRefusedError:
            return _TOO_LARGE if is_parsed(kind) else _NO_JSON
        except MalformedJsonError:
            return _BAD_REQUEST
        except UnreadableBodyError:
            return _NO_JSON
        if isinstance(fields, WebFields):
            return fields
        return _Answer(400, msgspec.json.encode({"errors": fields}), (*_CORS, _JSON))

    def _make_request(
        self, fields: WebFields, scope: Scope, headers: Mapping[str, str]
    ) -> WebRequest:
        peer = scope.get("client") or ("", 0)
        return WebRequest(
            received_at_ms=self._clock(),
            fields=fields,
            user_agent=headers.get("user-agent", ""),
            hints=read_hints(headers),
            client=read_client(headers, peer[0], trusted=self._trusted),
        )

    async def _settle(self, request: WebRequest) -> _Answer:
        try:
            result = await self._pipeline.build_and_buffer(request)
        except (JournalFullError, JournalUnwritableError):
            self._metrics.count_refused(ErrorCode.JOURNAL_FULL)
            return _BUSY
        except JournalClosedError:
            self._metrics.count_refused(ErrorCode.DRAINING)
            return _BUSY
        self._count(result)
        if not result.dropped:
            return _TAKEN
        reasons = ", ".join(each.reason for each in result.dropped)
        dropped = (
            (b"x-plausible-dropped", b"%d" % len(result.dropped)),
            (b"x-headwater-dropped", reasons.encode()),
        )
        return _TAKEN._replace(headers=(*_TAKEN.headers, *dropped))

    def _count(self, result: Result) -> None:
        if result.buffered:
            self._metrics.count_events(Outcome.ACCEPTED, len(result.buffered))
        for each in result.dropped:
            self._metrics.count_events(Outcome.DROPPED, 1, each.reason)


_TAKEN: Final = _Answer(202, b"ok", (*_CORS, _TEXT))


def _accepts_json(accept: str) -> bool:
    """Whether an Accept header admits JSON, as nearly all do."""
    return not accept or any(
        part.partition(";")[0].strip().lower() in _ACCEPTED
        for part in accept.split(",")
    )


_ACCEPTED: Final = frozenset({"*/*", "application/*", "application/json"})
