"""Client SDK of Headwater: capture events, lose none, send none twice.

::

    from headwater import Client

    client = Client("hw_key", "https://events.example.com")
    client.capture("user-1", "order_completed", {"amount": 49.99})
"""

from headwater._client import Client
from headwater._encoder import PersonId
from headwater._errors import (
    BatchRefusedError,
    ClosedError,
    EventRefusedError,
    EventTooLargeError,
    HeadwaterError,
    InvalidEventError,
    LossError,
    LossReason,
    PropertyRefusedError,
    QueueFullError,
    ReportedError,
    SettingsError,
    TransportError,
    UnavailableError,
    UnconfirmedError,
    UndeliveredError,
)
from headwater._http import HttpTransport
from headwater._reporter import CapturedEvent
from headwater._results import FlushResult, Stats
from headwater._transport import Request, Response, Transport
from headwater._version import __version__

__all__ = [
    "BatchRefusedError",
    "CapturedEvent",
    "Client",
    "ClosedError",
    "EventRefusedError",
    "EventTooLargeError",
    "FlushResult",
    "HeadwaterError",
    "HttpTransport",
    "InvalidEventError",
    "LossError",
    "LossReason",
    "PersonId",
    "PropertyRefusedError",
    "QueueFullError",
    "ReportedError",
    "Request",
    "Response",
    "SettingsError",
    "Stats",
    "Transport",
    "TransportError",
    "UnavailableError",
    "UnconfirmedError",
    "UndeliveredError",
    "__version__",
]
