"""What the application is told about its events: in numbers."""

from __future__ import annotations

from msgspec import Struct

from headwater._errors import LossReason


class FlushResult(Struct, frozen=True):
    """What became of the events that were queued when the call was made.

    Attributes:
        delivered: The server has them.
        lost: The server will never get them; `on_error` was told why.
        queued: They still wait: delivery has failed for now, or the time is up.
        timed_out: The time was up before all were settled.
        spooled: They wait on disk, and are sent when the server is back.
    """

    delivered: int
    lost: int
    queued: int
    timed_out: bool
    spooled: int = 0


class Stats(Struct, frozen=True):
    """What became of the events of a client, so far.

    Always `captured + restored == delivered + queued + spooled + sum(lost.values())`.

    Attributes:
        captured: Events that the application gave us.
        delivered: Events that the server has.
        queued: Events that wait in memory, those on their way included.
        lost: Events that the server will never get, by reason.
        refused_properties: Properties that events had to go without.
        spooled: Events that were put on disk.
        restored: Events that were taken from there.
    """

    captured: int
    delivered: int
    queued: int
    lost: dict[LossReason, int]
    refused_properties: int
    spooled: int = 0
    restored: int = 0
