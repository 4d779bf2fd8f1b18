"""Transports that go nowhere."""

from headwater._errors import TransportError
from headwater._transport import Request, Response
from headwater.testing._inbox import Inbox, RecordedEvent


class _Memory:
    """What a client has sent.

    Attributes:
        inbox: What was taken, and where other answers are ordered.
        is_closed: The client has let go of it.
    """

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.is_closed = False

    @property
    def events(self) -> list[RecordedEvent]:
        """The events that were sent; what a client still holds is not among them."""
        return self.inbox.events

    def fail(self, times: int = 1) -> None:
        """Has the next requests fail as they do when there is no network."""
        for _ in range(times):
            self.inbox.fail(TransportError("the network is down, as the test wants"))


class MemoryTransport(_Memory):
    """Keeps what a client sends, for `Client(..., transport=MemoryTransport())`.

    It takes everything at once, as Headwater does, unless it was told otherwise.
    """

    def send(self, request: Request) -> Response:
        """Takes a request."""
        return self.inbox.take(request)

    def close(self) -> None:
        """Has nothing to close."""
        self.is_closed = True


class AsyncMemoryTransport(_Memory):
    """`MemoryTransport` for an `AsyncClient`."""

    async def send(self, request: Request) -> Response:
        """Takes a request."""
        return self.inbox.take(request)

    async def close(self) -> None:
        """Has nothing to close."""
        self.is_closed = True
