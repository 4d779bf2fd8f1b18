"""The application's last look at an event before it is queued."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from headwater._encoder import encode_event
from headwater._errors import BeforeSendError, InvalidEventError
from headwater._reporter import CapturedEvent

_decode: Final = msgspec.json.Decoder(CapturedEvent).decode


def apply_before_send(
    before_send: Callable[[CapturedEvent], CapturedEvent | None], payload: bytes
) -> tuple[str, bytes] | None:
    """Shows an encoded event to the application.

    Returns:
        Id and bytes of what it wants to be queued, or None for nothing.

    Raises:
        BeforeSendError: It has raised, or returned what is no event.
    """
    try:
        event = before_send(_decode(payload))
    except Exception as error:
        raise BeforeSendError(f"before_send has raised {error!r}") from error
    return None if event is None else _encode(event)


def _encode(event: CapturedEvent) -> tuple[str, bytes]:
    try:
        event_id, payload, refused = encode_event(
            event["event"],
            event["distinct_id"],
            event.get("properties"),
            groups=event.get("groups"),
            timestamp=None,
            event_id=event["event_id"],
            now_ms=int(event["timestamp"]),
        )
    except (InvalidEventError, TypeError, KeyError, ValueError) as error:
        raise BeforeSendError(
            f"before_send must return an event as it was given, or None: {error!r}"
        ) from error
    if refused:
        raise BeforeSendError(f"before_send has set what cannot be sent: {refused}")
    return event_id, payload
