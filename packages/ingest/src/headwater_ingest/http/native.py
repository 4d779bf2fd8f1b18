"""`/ingest-events` and `/user-properties`: batches, acknowledged from the disk."""

from time import perf_counter
from typing import Final, Protocol

import structlog
from starlette.types import Receive, Scope, Send

from headwater_ingest.http import billdog
from headwater_ingest.http.body import Headers, read_body
from headwater_ingest.http.intake import Decode, Request
from headwater_ingest.http.keys import BILLDOG
from headwater_ingest.http.refusal import (
    ClientGoneError,
    RequestRefusedError,
    quote_header,
)
from headwater_ingest.http.respond import send_json, send_refusal
from headwater_ingest.telemetry.metrics import Metrics
from headwater_schema.codec import DecodedBatch, decode_batch
from headwater_schema.outcomes import ErrorCode

_log = structlog.stdlib.get_logger(__name__)

_MESSAGE_PACK: Final = frozenset(
    {b"application/msgpack", b"application/x-msgpack", b"application/vnd.msgpack"}
)
_JSON: Final = frozenset({b"", b"application/json", b"text/json", b"text/plain"})


class Door(Protocol):
    """What says whether the node still takes requests."""

    refusing: bool


class Taker(Protocol):
    """What takes batches."""

    async def take(self, request: Request) -> bytes:
        """Returns the answer to a batch."""


class BatchEndpoint:
    """A route that takes batches. Plain ASGI: nothing stands between it and uvicorn."""

    def __init__(
        self, intake: Taker, decode: Decode, *, door: Door, metrics: Metrics
    ) -> None:
        self._intake = intake
        self._decode = decode
        self._door = door
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Takes the batch of one request and answers."""
        started = perf_counter()
        headers: Headers = dict(scope["headers"])
        body: bytes | None = None
        try:
            if self._door.refusing:
                raise _draining()
            body = await read_body(receive, headers)
            answer = await self._intake.take(Request(headers, body, self._decode))
        except RequestRefusedError as refusal:
            self._metrics.count_refused(refusal.code)
            # What is left of a body stands in the way of the next request, and a node
            # that drains wants its connections back.
            closing = body is None or refusal.code == ErrorCode.DRAINING
            await send_refusal(send, refusal, closing=closing)
        except ClientGoneError:
            _log.debug("client hung up in the middle of its body")
        else:
            await send_json(send, 200, answer)
            seconds = perf_counter() - started
            self._metrics.observe_request(seconds=seconds, body_bytes=len(body))


def decode_ingest_events(
    headers: Headers, body: bytes, _received_at_ms: int
) -> DecodedBatch:
    """Reads a batch in the format and the dialect that the request names.

    Raises:
        RequestRefusedError: The format is not supported.
        BodyError: The body cannot be taken.
    """
    kind = _read_type(headers)
    if kind in _MESSAGE_PACK:
        return decode_batch(body, message_pack=True)
    _check_json(kind)
    if BILLDOG in headers:
        return billdog.decode_events(body)
    decoded = decode_batch(body)
    # A native batch never pays for this look: it has events in good order.
    if decoded.refused and not decoded.events and billdog.is_billdog(body):
        return billdog.decode_events(body)
    return decoded


def decode_user_properties(
    headers: Headers, body: bytes, received_at_ms: int
) -> DecodedBatch:
    """Reads the operations on a person's properties of a BilldogEng client.

    Raises:
        RequestRefusedError: The format is not supported.
        BodyError: The body cannot be taken.
    """
    _check_json(_read_type(headers))
    return billdog.decode_user_properties(body, received_at_ms=received_at_ms)


def _read_type(headers: Headers) -> bytes:
    """Returns the media type of a body, without its parameters."""
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def _check_json(kind: bytes) -> None:
    if kind not in _JSON:
        raise RequestRefusedError(
            ErrorCode.UNSUPPORTED_TYPE,
            f"Content-Type `{quote_header(kind)}` is not supported; send "
            "application/json or application/msgpack",
        )


def _draining() -> RequestRefusedError:
    return RequestRefusedError(
        ErrorCode.DRAINING,
        "this node is shutting down; send the batch again",
        retry_after_s=1,
    )
