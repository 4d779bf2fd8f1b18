"""Writing an answer: one start message, one body, always JSON."""

from typing import Final

from starlette.types import Send

from headwater_ingest.http.refusal import STATUS, RequestRefusedError
from headwater_schema.batch import ErrorAnswer
from headwater_schema.codec import encode_json

CORS: Final = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-credentials", b"true"),
    (b"access-control-expose-headers", b""),
)
"""What all answers to web pages carry: any page may read them."""

_JSON: Final = (b"content-type", b"application/json")


async def send_json(
    send: Send,
    status: int,
    body: bytes,
    *,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> None:
    """Sends a complete answer."""
    length = (b"content-length", b"%d" % len(body))
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [_JSON, length, *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def send_refusal(
    send: Send, refusal: RequestRefusedError, *, closing: bool
) -> None:
    """Sends the answer to a request that is refused.

    Args:
        send: Where to.
        refusal: Why.
        closing: The connection ends with this answer.
    """
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if refusal.retry_after_s is not None:
        headers += ((b"retry-after", b"%d" % refusal.retry_after_s),)
    if closing:
        headers += ((b"connection", b"close"),)
    body = encode_json(ErrorAnswer.of(refusal.code, str(refusal)))
    await send_json(send, STATUS[refusal.code], body, headers=headers)
