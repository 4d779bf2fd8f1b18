"""What can go wrong, and what it costs.

::

    HeadwaterError
    ├── SettingsError             raised by Client(): an option is wrong
    ├── TransportError            raised by a Transport: no answer came
    └── ReportedError             given to on_error, never raised
        ├── PropertyRefusedError  the event goes on without some properties
        ├── UnavailableError      the events are kept: no delivery is possible now
        └── LossError             the events are lost
            ├── InvalidEventError     not taken: its name, id or time is wrong
            ├── BeforeSendError       not taken: before_send has raised
            ├── EventTooLargeError    not taken: over the limit of one event
            ├── ClosedError           not taken: captured after shutdown
            ├── QueueFullError        dropped to keep the queue within its bounds
            ├── BatchRefusedError     given up: the server refused the whole batch
            ├── EventRefusedError     given up: the server refused these events
            ├── UnconfirmedError      given up: something else than Headwater answered
            └── UndeliveredError      given up: still queued at shutdown
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from headwater_schema.outcomes import ClientLoss as LossReason

__all__ = [
    "BatchRefusedError",
    "BeforeSendError",
    "ClosedError",
    "EventRefusedError",
    "EventTooLargeError",
    "HeadwaterError",
    "InvalidEventError",
    "LossError",
    "LossReason",
    "PropertyRefusedError",
    "QueueFullError",
    "ReportedError",
    "SettingsError",
    "TransportError",
    "UnavailableError",
    "UnconfirmedError",
    "UndeliveredError",
]


class HeadwaterError(Exception):
    """Root of everything that this library raises or reports."""


class SettingsError(HeadwaterError, ValueError):
    """Options of a client are wrong; nothing was started.

    Attributes:
        faults: One sentence for each wrong option.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("cannot build the client: " + "; ".join(faults))


class TransportError(HeadwaterError):
    """No answer came. The server may or may not have taken the batch."""


class ReportedError(HeadwaterError):
    """A fault that is counted, logged once per kind, and given to `on_error`."""

    @property
    def kind(self) -> str:
        """What is logged once: the class, and what else tells faults apart."""
        return type(self).__name__


class PropertyRefusedError(ReportedError):
    """Some properties have no wire form; the event goes on without them.

    Attributes:
        refused: Why, for each property.
    """

    def __init__(self, event: str, refused: dict[str, str]) -> None:
        self.refused = refused
        listed = "; ".join(f"{key!r}: {why}" for key, why in refused.items())
        super().__init__(f"event {event!r} goes without properties: {listed}")


class UnavailableError(ReportedError):
    """A delivery has failed after its retries; the events wait at the front."""


class LossError(ReportedError):
    """Events are lost: the server will not get them from us."""

    reason: ClassVar[LossReason]
    """Under which they are counted in `Stats.lost`."""


class InvalidEventError(LossError):
    """An event cannot be taken since its name, id or time is wrong."""

    reason = LossReason.INVALID_EVENT


class BeforeSendError(LossError):
    """`before_send` has raised, or returned what is no event."""

    reason = LossReason.BEFORE_SEND_FAILED


class EventTooLargeError(LossError):
    """An encoded event is larger than one event may be."""

    reason = LossReason.EVENT_TOO_LARGE


class ClosedError(LossError):
    """An event was captured after the client had been shut down."""

    reason = LossReason.CLOSED


class QueueFullError(LossError):
    """The queue was full; events were dropped to stay within its bounds."""

    reason = LossReason.QUEUE_FULL


class BatchRefusedError(LossError):
    """The server has refused a batch for good.

    Attributes:
        status: The HTTP status.
        code: The server's error code, or "" if it gave none.
        message: What the server said about it.
    """

    reason = LossReason.BATCH_REFUSED

    def __init__(self, *, status: int, code: str, message: str) -> None:
        self.status = status
        self.code = code
        self.message = message
        said = ": ".join(filter(None, (code, message)))
        super().__init__(f"the server refused a batch: {status} {said}")

    @property
    def kind(self) -> str:
        """The class and the server's code."""
        return f"{super().kind} {self.status} {self.code}"


class EventRefusedError(LossError):
    """The server has taken the batch, but not these events of it.

    Attributes:
        outcome: `dropped` or `invalid`.
        code: The server's reason.
        detail: What exactly, or "".
    """

    reason = LossReason.EVENT_REFUSED

    def __init__(self, *, outcome: str, code: str, detail: str) -> None:
        self.outcome = outcome
        self.code = code
        self.detail = detail
        said = ", ".join(filter(None, (code, detail)))
        super().__init__(f"the server refused an event as {outcome}: {said}")

    @property
    def kind(self) -> str:
        """The class and the server's reason."""
        return f"{super().kind} {self.outcome} {self.code}"


class UnconfirmedError(LossError):
    """A 2xx came from something that is not Headwater: nobody knows what it did."""

    reason = LossReason.UNCONFIRMED


class UndeliveredError(LossError):
    """Events were not known to be delivered when the client was shut down."""

    reason = LossReason.UNDELIVERED
