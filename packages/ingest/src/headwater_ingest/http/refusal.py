"""Refusing a request whole, and the statuses that say so."""

from typing import Final

from headwater_ingest.errors import HeadwaterError
from headwater_schema.outcomes import ErrorCode

STATUS: Final = {
    ErrorCode.MALFORMED_BODY: 400,
    ErrorCode.MISSING_KEY: 401,
    ErrorCode.UNKNOWN_KEY: 401,
    ErrorCode.QUOTA_EXCEEDED: 402,
    ErrorCode.SITE_BLOCKED: 403,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.UNSUPPORTED_TYPE: 415,
    ErrorCode.UNKNOWN_ENCODING: 415,
    ErrorCode.THROTTLED: 429,
    ErrorCode.JOURNAL_FULL: 503,
    ErrorCode.SITES_UNKNOWN: 503,
    ErrorCode.DRAINING: 503,
}
"""The HTTP status of each error code."""

_SHOWN_CHARS: Final = 60


class RequestRefusedError(HeadwaterError):
    """A request is refused, and nothing of it is stored.

    Attributes:
        code: Why.
        retry_after_s: When the client may try again, where waiting helps.
    """

    def __init__(
        self, code: ErrorCode, message: str, *, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_s = retry_after_s


class ClientGoneError(HeadwaterError):
    """The client hung up before its request was complete. Nobody awaits an answer."""


def quote_header(value: bytes) -> str:
    """Returns a header's value as a message shows it: only its beginning if long."""
    text = value.decode("latin-1")
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."
