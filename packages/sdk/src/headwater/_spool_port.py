"""The seam to a spool: a place on disk for batches that could not be delivered.

The client gives a spool what it cannot deliver, and takes it back, oldest first, when
the server answers or when a next client starts::

    at exit, or while the server is away      keep(batches)
    at the start, and after a delivery        take(limit)
    settled: delivered, or refused for good   done(ids)

A batch keeps its id for ever, so one that is sent twice, since a process was killed
between the answer and `done`, is a duplicate to the server.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from msgspec import Struct


class SpooledBatch(Struct, frozen=True):
    """A batch as a spool holds it.

    Attributes:
        batch_id: What the server knows it by.
        events: The encoded events, in order.
        historical: They are old on purpose.
    """

    batch_id: str
    events: tuple[bytes, ...]
    historical: bool = False


class Spool(Protocol):
    """Keeps batches beyond the life of the process.

    No method raises: what goes wrong is logged, and costs what the file holds. Calls
    come one at a time, from any thread; those of `AsyncClient` from worker threads. In
    a child of a fork the client goes on using its copy of the object: that must open
    the file anew. Several processes may use the same file.
    """

    def keep(self, batches: Sequence[SpooledBatch]) -> Collection[str]:
        """Stores batches, durably when it returns.

        One that was taken may come back: it is then free to be taken again.

        Returns:
            The ids of those that it could not store.
        """
        ...

    def take(self, limit: int) -> Sequence[SpooledBatch]:
        """Hands out the oldest batches that nobody has taken, `limit` at most.

        Nobody else gets them while this process lives, until `done` or `keep`.
        """
        ...

    def done(self, ids: Collection[str]) -> None:
        """Forgets batches for good."""
        ...

    def close(self) -> None:
        """Lets go of the file, and of the batches that were taken and are not done."""
        ...
