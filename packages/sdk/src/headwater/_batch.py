"""A batch whose events are fixed, and its body on the wire.

The body of an attempt::

    {"batch_id": "…",        the same on every attempt
     "sent_at": 1700000000000,   new on every attempt
     "sdk": {"name": "headwater-python", "version": "…"},
     "historical": true,         only if it is
     "client_losses": {"queue_full": 12},   only if there are, the same on every attempt
     "events": [ … ]}        the bytes that were encoded when the events were captured
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct, structs

from headwater._errors import LossReason
from headwater._version import SDK_NAME, __version__

ENVELOPE_BYTES: Final = 768
"""Room for everything in a body that is not an event."""

_encode: Final = msgspec.json.Encoder().encode


class FrozenBatch(Struct, frozen=True):
    """Events that are sent together under one id, however often it takes.

    Attributes:
        batch_id: What the server knows a repetition by.
        first: Number of the first event in the queue.
        events: The encoded events.
        losses: What the server is told of events that it will never get.
        historical: The events are old on purpose.
    """

    batch_id: str
    first: int
    events: tuple[bytes, ...]
    losses: Mapping[LossReason, int] = {}
    historical: bool = False

    def halves(self, first_id: str, second_id: str) -> tuple[FrozenBatch, FrozenBatch]:
        """Returns two batches with half of the events each."""
        middle = len(self.events) // 2
        first = structs.replace(self, batch_id=first_id, events=self.events[:middle])
        second = structs.replace(
            self,
            batch_id=second_id,
            first=self.first + middle,
            events=self.events[middle:],
            losses={},
        )
        return first, second

    def encode(self, sent_at_ms: int) -> bytes:
        """Returns the body of an attempt made at `sent_at_ms`."""
        envelope = (
            f'{{"batch_id":"{self.batch_id}","sent_at":{sent_at_ms},'
            f'"sdk":{{"name":"{SDK_NAME}","version":"{__version__}"}}'
        ).encode()
        if self.historical:
            envelope += b',"historical":true'
        if self.losses:
            envelope += b',"client_losses":' + _encode(self.losses)
        return b'%b,"events":[%b]}' % (envelope, b",".join(self.events))
