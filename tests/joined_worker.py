"""Both ends of the connection between a worker and its owner, in one process."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

from starlette.types import ASGIApp, Receive, Scope, Send

from headwater_ingest.journal import Journal
from headwater_ingest.visitors.memory_store import MemorySessionStore
from headwater_ingest.worker.connection import Connection
from headwater_ingest.worker.owner_desk import OwnerDesk
from headwater_ingest.worker.owner_link import Order, OwnerLink
from headwater_ingest.worker.protocol import (
    Ready,
    ToOwner,
    WorkerStatus,
    decode_to_owner,
)


async def _no_app(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError("nobody asks for it")


def make_desk(
    journal: Journal | None = None,
    sessions: MemorySessionStore | None = None,
    app: ASGIApp = _no_app,
) -> OwnerDesk:
    """Opens a desk for those things that it is given."""
    return OwnerDesk(
        cast("Journal", journal), cast("MemorySessionStore", sessions), app
    )


@asynccontextmanager
async def join(
    desk: OwnerDesk, on_order: Callable[[Order], object] = lambda _: None
) -> AsyncIterator[tuple[OwnerLink, Connection[ToOwner]]]:
    """Gives a worker's end, connected to a desk, and the owner's end."""

    def receive(number: int, message: ToOwner) -> None:
        assert not isinstance(message, Ready | WorkerStatus)
        desk.take(message, partial(connection.send, number=number))

    ours, theirs = socket.socketpair()
    link = OwnerLink(on_order)
    connection = Connection[ToOwner](
        decode_to_owner, on_message=receive, on_end=lambda: None
    )
    await connection.open(ours)
    await link.open(theirs)
    try:
        yield link, connection
    finally:
        connection.close()
        await link.ended.wait()
