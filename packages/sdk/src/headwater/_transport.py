"""The seam to the network: what goes across it, and what carries it.

A transport takes a finished request and brings back the answer, whatever it says; it
neither retries nor judges. It carries one request at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct


class Request(Struct, frozen=True):
    """A `POST /ingest-events`, ready to go."""

    headers: Mapping[str, str]
    body: bytes


class Response(Struct, frozen=True):
    """The answer of a server; the names of the headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """Carries requests to a server for a `Client`.

    It may not retry: the client does, with a new time of sending. After a fork the
    child uses its copy of the object, so connections must not be shared.
    """

    def send(self, request: Request) -> Response:
        """Returns the server's answer, whatever its status.

        Raises:
            TransportError: No answer came.
        """
        ...

    def close(self) -> None:
        """Lets go of connections. The transport is not used again."""
        ...


class AsyncTransport(Protocol):
    """Carries requests to a server for an `AsyncClient`.

    What is said of `Transport` holds. An application may run several event loops, one
    after another: connections of a former one must not be used. The exit of the
    process, when none runs any more, has one of its own.
    """

    async def send(self, request: Request) -> Response:
        """Returns the server's answer, whatever its status.

        Raises:
            TransportError: No answer came.
        """
        ...

    async def close(self) -> None:
        """Lets go of connections; a later `send` on another loop makes new ones."""
        ...
