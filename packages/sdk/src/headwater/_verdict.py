"""What an answer means for the batch. No I/O.

This is the only place that knows status codes and decides whether to try again. What
reads answers is imported by whoever sends, with the first of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from headwater._lifecycle import fork_guard
from headwater._retry import parse_retry_after
from headwater._transport import Response
from headwater_schema.errors import MalformedBodyError

if TYPE_CHECKING:
    from headwater_schema.batch import EventResult

_RETRYABLE: Final = frozenset({408, 425, 429})
_SHOWN_CHARS: Final = 200


class Taken(Struct, frozen=True):
    """The server has the batch, but for the events listed in `results`."""

    results: Mapping[str, EventResult]


class TryAgain(Struct, frozen=True):
    """The server has not taken the batch now, or nobody knows."""

    why: str
    retry_after_s: float | None = None


class Refused(Struct, frozen=True):
    """The server will never take the batch as it is.

    Attributes:
        status: The HTTP status.
        code: The server's error code, or "".
        message: What else it said.
        is_too_large: It may take the events in smaller batches.
    """

    status: int
    code: str
    message: str
    is_too_large: bool


class Foreign(Struct, frozen=True):
    """A 2xx that Headwater did not write: a portal, a proxy or a wrong host.

    Nobody knows whether the batch was stored. It is tried again for one round, since
    the ids make that harmless, and then given up, since it might never end.
    """

    why: str


Verdict = Taken | TryAgain | Refused | Foreign


def judge(response: Response, wall_time: float) -> Verdict:
    """Returns what `response` means.

    Args:
        response: The answer to a batch.
        wall_time: Seconds since the epoch, for a `Retry-After` that is a date.
    """
    status = response.status
    if 200 <= status < 300:
        return _judge_success(response)
    code, message = _explanation(response)
    if status in _RETRYABLE or status >= 500:
        wait_s = parse_retry_after(response.headers.get("retry-after"), wall_time)
        said = ": ".join(filter(None, (code, message)))
        return TryAgain(f"{status} {said}".strip(), wait_s)
    return Refused(status, code, message, is_too_large=status == 413)


def _judge_success(response: Response) -> Verdict:
    with fork_guard:
        from headwater_schema.answers import decode_answer  # noqa: PLC0415 - see above

    try:
        answer = decode_answer(response.body)
    except MalformedBodyError:
        return Foreign(f"{response.status} {_shown(response.body)!r}")
    if not answer.success:
        return Foreign(f"{response.status} with success false")
    return Taken(answer.data.results)


def _explanation(response: Response) -> tuple[str, str]:
    """Returns code and message of an error, or what can be had instead."""
    with fork_guard:
        from headwater_schema.answers import decode_error  # noqa: PLC0415 - see above

    try:
        error = decode_error(response.body)
    except MalformedBodyError:
        where = response.headers.get("location")
        return "", f"redirects to {where}" if where else _shown(response.body)
    return error.code, error.message


def _shown(body: bytes) -> str:
    return body[:_SHOWN_CHARS].decode("utf-8", "replace").strip()
