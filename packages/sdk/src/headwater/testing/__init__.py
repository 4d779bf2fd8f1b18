"""What tests of an application need: its events in memory, or a server of their own.

::

    def test_checkout(headwater_events):  # a pytest fixture, there when installed
        checkout(cart)
        headwater_events.assert_captured("order_completed", {"amount": 49.99})

`record` is the same without pytest. `MemoryTransport` goes into a client of one's own,
and `FakeServer` takes what other processes send.
"""

from headwater.testing._inbox import Inbox, RecordedEvent
from headwater.testing._recording import RecordedEvents, record
from headwater.testing._server import FakeServer
from headwater.testing._transport import AsyncMemoryTransport, MemoryTransport

__all__ = [
    "AsyncMemoryTransport",
    "FakeServer",
    "Inbox",
    "MemoryTransport",
    "RecordedEvent",
    "RecordedEvents",
    "record",
]
