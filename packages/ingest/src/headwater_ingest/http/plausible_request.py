"""Reading a web request: its headers and body, and the refusal where that fails."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.types import Receive

from headwater_ingest.enrich.address import CLIENT_HEADERS
from headwater_ingest.enrich.client_hints import HINT_HEADERS
from headwater_ingest.http.answer import CLOSE, Answer
from headwater_ingest.http.body import read_body
from headwater_ingest.http.direct import RawHeaders
from headwater_ingest.http.plausible_answers import (
    BAD_REQUEST,
    NO_JSON,
    NOT_ACCEPTABLE,
    TOO_LARGE,
    json_answer,
)
from headwater_ingest.http.plausible_body import (
    MalformedJsonError,
    UnreadableBodyError,
    is_json,
    is_parsed,
    kind_of,
    max_bytes,
    read_object,
)
from headwater_ingest.http.plausible_fields import read_fields
from headwater_ingest.http.plausible_usual import read_usual
from headwater_ingest.http.refusal import RequestRefusedError
from headwater_ingest.pipeline.web.request import WebFields
from headwater_schema.outcomes import ErrorCode

Headers = Mapping[str, str]

_ACCEPTED: Final = frozenset({"*/*", "application/*", "application/json"})
_READ_HEADERS: Final = {
    name.encode(): name
    for name in ("accept", "content-type", "user-agent", *CLIENT_HEADERS, *HINT_HEADERS)
}
_PLAIN_ACCEPTS: Final = ("", "*/*")


class EventRefusedError(Exception):
    """A request is not understood, and this is the answer."""

    def __init__(self, answer: Answer, code: ErrorCode | None = None) -> None:
        super().__init__(answer.status)
        self.answer = answer
        self.code = code


def read_headers(raw: RawHeaders) -> Headers:
    """Returns the headers that somebody reads, as text; the first one of a name."""
    return {
        name: value.decode("utf-8", "replace")
        for sent, value in reversed(raw)
        if (name := _READ_HEADERS.get(sent)) is not None
    }


async def receive_body(receive: Receive, raw: Mapping[bytes, bytes]) -> bytes:
    """Returns the body of a request.

    Raises:
        EventRefusedError: It has more bytes than its kind may have, or takes too long.
        ClientGoneError: It ended early.
    """
    kind = kind_of(raw.get(b"content-type", b"").decode("utf-8", "replace"))
    try:
        return await read_body(receive, raw, max_bytes=max_bytes(kind))
    except RequestRefusedError as refusal:
        # What is left of the body stands in the way of the next request.
        is_known = is_parsed(kind) and refusal.code == ErrorCode.TOO_LARGE
        answer = (TOO_LARGE if is_known else NO_JSON).plus(CLOSE)
        raise EventRefusedError(answer, refusal.code) from None


def _read_object(body: bytes, content_type: str) -> Mapping[str, Any]:
    """Returns what the body of a request holds.

    Raises:
        EventRefusedError: It cannot be read.
    """
    try:
        return read_object(body, content_type)
    except MalformedJsonError:
        raise EventRefusedError(BAD_REQUEST, ErrorCode.MALFORMED_BODY) from None
    except UnreadableBodyError:
        raise EventRefusedError(NO_JSON, ErrorCode.MALFORMED_BODY) from None


def read_request(headers: Headers, body: bytes) -> WebFields:
    """Returns the fields of a request.

    Raises:
        EventRefusedError: There are none or faulty ones, or the client takes no JSON.
    """
    content_type = headers.get("content-type", "")
    kind = kind_of(content_type)
    if not _accepts_json(headers.get("accept", "")):
        if is_parsed(kind):  # Plausible looks first at what says what it is
            _read_object(body, content_type)
        raise EventRefusedError(NOT_ACCEPTABLE)
    fields = read_usual(body) if is_json(kind) else None
    found = fields or read_fields(_read_object(body, content_type))
    if isinstance(found, WebFields):
        return found
    faults = msgspec.json.encode({"errors": found})
    raise EventRefusedError(json_answer(400, faults), ErrorCode.MALFORMED_BODY)


def _accepts_json(accept: str) -> bool:
    """Whether an Accept header admits JSON, as nearly all do."""
    return accept in _PLAIN_ACCEPTS or any(
        part.partition(";")[0].strip().lower() in _ACCEPTED
        for part in accept.split(",")
    )
