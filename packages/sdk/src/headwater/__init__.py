"""Client SDK of Headwater: capture events, lose none, send none twice.

::

    import headwater

    headwater.init("hw_key", "https://events.example.com")
    headwater.capture("user-1", "order_completed", {"amount": 49.99})

`Client` and `AsyncClient` are for those who want several, or asyncio.
"""

from typing import TYPE_CHECKING, Any

from headwater._client import Client
from headwater._default import default_client, init
from headwater._encoder import PersonId
from headwater._errors import (
    BatchRefusedError,
    BeforeSendError,
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
from headwater._functions import (
    add,
    alias,
    append,
    capture,
    capture_exception,
    context,
    flush,
    group_identify,
    identify,
    set,  # noqa: A004 - the method's name
    set_once,
    shutdown,
    stats,
    unset,
)
from headwater._http import HttpTransport
from headwater._overflow import Block
from headwater._reporter import CapturedEvent
from headwater._results import FlushResult, Stats
from headwater._transport import AsyncTransport, Request, Response, Transport
from headwater._typed_port import TypedEvent
from headwater._version import __version__

if TYPE_CHECKING:
    from headwater._async_client import AsyncClient
    from headwater._async_http import AsyncHttpTransport
    from headwater._signals import deliver_on_sigterm
    from headwater._typed import Event

__all__ = [
    "AsyncClient",
    "AsyncHttpTransport",
    "AsyncTransport",
    "BatchRefusedError",
    "BeforeSendError",
    "Block",
    "CapturedEvent",
    "Client",
    "ClosedError",
    "Event",
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
    "TypedEvent",
    "UnavailableError",
    "UnconfirmedError",
    "UndeliveredError",
    "__version__",
    "add",
    "alias",
    "append",
    "capture",
    "capture_exception",
    "context",
    "default_client",
    "deliver_on_sigterm",
    "flush",
    "group_identify",
    "identify",
    "init",
    "set",
    "set_once",
    "shutdown",
    "stats",
    "unset",
]

_ON_DEMAND = {
    "AsyncClient": "headwater._async_client",
    "AsyncHttpTransport": "headwater._async_http",
    "Event": "headwater._typed",
    "deliver_on_sigterm": "headwater._signals",
}
"""What not every application uses, and takes longest to import."""


def __getattr__(name: str) -> Any:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # asyncio and regular expressions are half of what the import would take.
    import importlib  # noqa: PLC0415 - as the rest of it

    value = getattr(importlib.import_module(_ON_DEMAND[name]), name)
    globals()[name] = value
    return value
