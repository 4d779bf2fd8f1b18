"""`POST /api/event`: what the Plausible tracker sends, unmodified, and its answers.

A drop is no error: the answer is 202 either way, with the number of dropped events in
`x-plausible-dropped` and, which Plausible never tells, the reasons in
`x-headwater-dropped`. `event_trace.py` says what `?debug=1` answers.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

import structlog
from starlette.types import Receive, Scope, Send

from headwater_ingest.enrich.address import read_client
from headwater_ingest.enrich.client_hints import ClientHints
from headwater_ingest.enrich.networks import NetworkSet
from headwater_ingest.errors import JournalClosedError, JournalError
from headwater_ingest.http.answer import BROKEN, CLOSE, Answer
from headwater_ingest.http.direct import RawHeaders
from headwater_ingest.http.event_trace import Tracer
from headwater_ingest.http.native import Door
from headwater_ingest.http.plausible_answers import (
    BUSY,
    NO_OPTIONS,
    NO_ROUTE,
    PREFLIGHT_ANSWER,
    TAKEN,
    json_answer,
)
from headwater_ingest.http.plausible_request import (
    EventRefusedError,
    Headers,
    read_headers,
    read_request,
    receive_body,
)
from headwater_ingest.http.refusal import ClientGoneError
from headwater_ingest.pipeline.web.pipeline import Result, Settle, WebPipeline
from headwater_ingest.pipeline.web.request import WebFields, WebRequest
from headwater_ingest.pipeline.web.steps import Sites
from headwater_ingest.telemetry.metrics import Metrics
from headwater_schema.outcomes import ErrorCode, Outcome

_log = structlog.stdlib.get_logger(__name__)


class SiteDirectory(Sites, Protocol):
    """Where a site is found by its name, as far as all are known."""

    @property
    def is_whole(self) -> bool:
        """Whether there can be no other sites."""


class _Sent(NamedTuple):
    """A request that came in this turn of the loop."""

    headers: RawHeaders
    body: bytes
    peer: str
    settle: Settle


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
        self._turn: list[_Sent] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Takes the event of one request and answers, as an ASGI application."""
        try:
            answer = await self._answer(scope, receive)
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

    def take(
        self,
        headers: RawHeaders,
        body: bytes,
        peer: str,
        answer: Callable[[Answer], object],
    ) -> None:
        """Takes the event of a POST request, and answers later.

        Args:
            headers: Of the request, names in lower case.
            body: As it was sent.
            peer: The address at the other end of the connection; empty for a Unix
                socket.
            answer: What is given the answer.
        """
        if not self._turn:
            asyncio.get_running_loop().call_soon(self._take_turn)
        self._turn.append(_Sent(headers, body, peer, partial(self._settle, answer)))

    def _take_turn(self) -> None:
        """Takes the requests that came in one turn of the loop.

        They wait for each other because it pays: one after the other, each beginning
        with its HTTP, they take a fifth more CPU, which then fetches code and tables
        for each of them once more.
        """
        turn, self._turn = self._turn, []
        self._pipeline.take(
            [
                (request, sent.settle)
                for sent in turn
                if (request := self._read(sent)) is not None
            ]
        )

    def _read(self, sent: _Sent) -> WebRequest | None:
        """Returns what a request says, or tells its sender why that is nothing."""
        try:
            return self._understand(sent.headers, sent.body, sent.peer)
        except Exception as error:  # noqa: BLE001  # supervised: others are taken
            sent.settle(error)
            return None

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        raw = dict(reversed(scope["headers"]))
        if scope["method"] == "OPTIONS":
            is_preflight = b"access-control-request-method" in raw
            return PREFLIGHT_ANSWER if is_preflight else NO_OPTIONS
        if scope["method"] != "POST":
            return NO_ROUTE
        try:
            self._check_door()
            body = await receive_body(receive, raw)
            request = self._understand(scope["headers"], body, _peer(scope))
        except EventRefusedError as refusal:
            return self._refuse(refusal)
        query, taken = scope["query_string"], TAKEN
        try:
            if query and self._tracer.admits(query, raw):
                result, told = await self._tracer.trace(request, raw)
                taken = json_answer(202, told)
            else:
                result = await self._pipeline.build_and_buffer(request)
        except JournalError as error:
            return self._refuse(_explain(error))
        return self._answer_to(result, taken)

    def _understand(self, raw: RawHeaders, body: bytes, peer: str) -> WebRequest:
        """Returns what a request says.

        Raises:
            EventRefusedError: It says nothing that can be taken.
        """
        self._check_door()
        headers = read_headers(raw)
        fields = read_request(headers, body)
        self._check_sites(fields)
        return self._make_request(fields, headers, peer)

    def _settle(
        self, answer: Callable[[Answer], object], outcome: Result | Exception
    ) -> None:
        try:
            found = self._answer_for(outcome)
        except Exception:  # noqa: BLE001  # supervised: it is answered all the same
            _log.exception("request failed")
            found = BROKEN
        try:
            answer(found)
        except Exception:  # noqa: BLE001  # supervised: others get theirs
            _log.exception("answer failed")

    def _answer_for(self, outcome: Result | Exception) -> Answer:
        if isinstance(outcome, Result):
            return self._answer_to(outcome, TAKEN)
        if isinstance(outcome, JournalError):
            outcome = _explain(outcome)
        if isinstance(outcome, EventRefusedError):
            return self._refuse(outcome)
        _log.error("request failed", exc_info=outcome)
        return BROKEN

    def _refuse(self, refusal: EventRefusedError) -> Answer:
        if refusal.code:
            self._metrics.count_refused(refusal.code)
        return refusal.answer

    def _check_door(self) -> None:
        """Refuses all while the node stops.

        Raises:
            EventRefusedError: It does.
        """
        if self._door.refusing:
            raise EventRefusedError(BUSY.plus(CLOSE), ErrorCode.DRAINING)

    def _check_sites(self, fields: WebFields) -> None:
        """Refuses what may be for a site that this node cannot know of yet.

        Raises:
            EventRefusedError: Nobody can say whose it is.
        """
        if self._sites.is_whole:
            return
        if not all(map(self._sites.by_domain, fields.domains)):
            raise EventRefusedError(BUSY, ErrorCode.SITES_UNKNOWN)

    def _make_request(
        self, fields: WebFields, headers: Headers, peer: str
    ) -> WebRequest:
        now_ms = self._clock()
        return WebRequest(
            received_at_ms=now_ms,
            time_s=now_ms // 1000,
            fields=fields,
            user_agent=headers.get("user-agent", ""),
            hints=ClientHints.from_headers(headers),
            client=read_client(headers, peer, trusted=self._trusted),
        )

    def _answer_to(self, result: Result, taken: Answer) -> Answer:
        """Counts a request that was taken, and names the drops in its answer."""
        self._count(result)
        if not result.dropped:
            return taken
        reasons = ", ".join(dict.fromkeys(each.reason for each in result.dropped))
        return taken.plus(
            (b"x-plausible-dropped", b"%d" % len(result.dropped)),
            (b"x-headwater-dropped", reasons.encode()),
        )

    def _count(self, result: Result) -> None:
        if result.missing_rates:
            self._metrics.count_missing_rates(result.missing_rates)
        if result.truncated_props:
            self._metrics.count_truncated_props(result.truncated_props)
        for each in result.dropped:
            self._metrics.count_events(Outcome.DROPPED, 1, each.reason)


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _explain(error: JournalError) -> EventRefusedError:
    """Returns the refusal of a request whose rows the journal does not take."""
    if isinstance(error, JournalClosedError):
        return EventRefusedError(BUSY.plus(CLOSE), ErrorCode.DRAINING)
    return EventRefusedError(BUSY, ErrorCode.JOURNAL_FULL)
