"""What a worker and its owner, the service, say to each other over a socket pair.

A frame is a head and a message:

    length UInt32 | number UInt32 | message, MessagePack, [tag, fields ...]

The length is that of the message. A question has a number that its asker chooses, and
its answer has the same; answers come in any order. What is told without a question has
the number 0.

    worker → owner   `Ready`, once it takes requests
                     `Append`, `LookUp`, `ReadAnswer`     the journal
                     `Add`                                counts of events without rows
                     `Register`, `Prolong`, `ForgetSessions`   open sessions
                     `Ask`                                requests not for events
                     `WorkerStatus`, once a second
    owner → worker   `Begin`, first of all
                     `PutSites`, `PutSalts`               at first, and when they change
                     `Finish`                             at the stop
                     the answers

Either side takes the end of the connection for the end of the other.
"""

from typing import Final

import msgspec
from msgspec import Struct

from headwater_ingest.journal.counts import Count
from headwater_ingest.journal.entry import Entry
from headwater_ingest.sites.record import SiteRecord
from headwater_ingest.telemetry.state import WebState
from headwater_ingest.visitors.salts import DaySalt
from headwater_ingest.visitors.sessions import Session
from headwater_schema.outcomes import Reason

Headers = list[tuple[bytes, bytes]]
KnownVisit = tuple[int, int, int]
"""Site, visitor and time of an event; see `Visit`."""


class Ready(Struct, frozen=True, array_like=True, tag=1):
    """The worker takes requests."""


class Append(Struct, frozen=True, array_like=True, tag=2):
    """Put an entry on disk. `Taken`, `TakenInPart`, `TakenBefore` or `Failed`."""

    entry: Entry


class LookUp(Struct, frozen=True, array_like=True, tag=3):
    """Say what of a batch is known, by window keys. `Seen` is the answer.

    Attributes:
        batch_id: The batch.
        event_ids: Its events, 16 bytes each.
    """

    batch_id: bytes
    event_ids: bytes


class ReadAnswer(Struct, frozen=True, array_like=True, tag=4):
    """Say what is stored of a batch. `TakenBefore`, `NotStored` or `Failed`."""

    batch_id: bytes


class Add(Struct, frozen=True, array_like=True, tag=5):
    """Count events that leave no rows."""

    count: Count


class StrangeVisit(Struct, frozen=True, array_like=True):
    """An event whose session the worker does not have at hand.

    Attributes:
        site_id: See `Visit`, as for the others.
        user_id: Likewise.
        previous_user_id: Likewise.
        time_s: Likewise.
        prolongs_only: Likewise.
        facts: What the event would begin a session with, as MessagePack; an empty map
            for one that only prolongs, and not read where one is open.
    """

    site_id: int
    user_id: int
    previous_user_id: int | None
    time_s: int
    prolongs_only: bool
    facts: bytes


class Register(Struct, frozen=True, array_like=True, tag=6):
    """Find the sessions of some events, or begin them. `Registered`.

    Attributes:
        visits: In their order.
    """

    visits: list[StrangeVisit]


class ForgetSessions(Struct, frozen=True, array_like=True, tag=7):
    """Drop all sessions: Redis is back, which has others."""


class Ask(Struct, frozen=True, array_like=True, tag=8):
    """Answer an HTTP request. `Told` is the answer.

    Attributes:
        method: Its method.
        path: Its path, decoded.
        raw_path: As it was sent.
        query: What follows the question mark.
        headers: All, by lower-case names.
        body: Whole.
    """

    method: str
    path: str
    raw_path: bytes
    query: bytes
    headers: Headers
    body: bytes


class WorkerStatus(Struct, frozen=True, array_like=True, tag=9):
    """How a worker is, with counts since it was started."""

    web: WebState


class Prolong(Struct, frozen=True, array_like=True, tag=10):
    """Sessions that the worker has at hand go on.

    Attributes:
        visits: In the order of their events. One message for each would cost three
            times as much.
    """

    visits: list[KnownVisit]


class Begin(Struct, frozen=True, array_like=True, tag=32):
    """What a worker needs to know.

    Attributes:
        settings: The settings, as `pack_settings` makes them.
        clock_offset_ns: By which rate windows turn in all processes.
    """

    settings: bytes
    clock_offset_ns: int


class PutSites(Struct, frozen=True, array_like=True, tag=33):
    """These are the sites in force.

    Attributes:
        records: All of them.
        are_all: Whether there can be no others.
    """

    records: list[SiteRecord]
    are_all: bool


class PutSalts(Struct, frozen=True, array_like=True, tag=34):
    """These are the salts of the days."""

    salts: tuple[DaySalt, ...]


class Finish(Struct, frozen=True, array_like=True, tag=35):
    """Refuse what comes, finish what has begun, and end."""


class Taken(Struct, frozen=True, array_like=True, tag=36):
    """All of the entry is on disk."""


class TakenInPart(Struct, frozen=True, array_like=True, tag=37):
    """Some events were there; the others are on disk.

    Attributes:
        answer: See `PartlyRepeated`.
    """

    answer: bytes


class TakenBefore(Struct, frozen=True, array_like=True, tag=38):
    """The batch was there.

    Attributes:
        ids_digest: See `StoredAnswer`, as for the other.
        answer: Likewise.
    """

    ids_digest: bytes
    answer: bytes


class NotStored(Struct, frozen=True, array_like=True, tag=39):
    """The window has no such batch."""


class Failed(Struct, frozen=True, array_like=True, tag=40):
    """The journal cannot do it.

    Attributes:
        kind: The name of the error.
        message: What it says.
    """

    kind: str
    message: str


class Seen(Struct, frozen=True, array_like=True, tag=41):
    """What of a batch is known.

    Attributes:
        batch: Whether its id is.
        event_ids: Those of its events that are, 16 bytes each.
    """

    batch: bool
    event_ids: bytes


class Registered(Struct, frozen=True, array_like=True, tag=42):
    """The sessions of some events.

    Attributes:
        sessions: For each event the session that goes on, or the id of the one that it
            has begun, or why it has none.
    """

    sessions: list[Session | int | Reason]


class Told(Struct, frozen=True, array_like=True, tag=43):
    """The answer to an HTTP request.

    Attributes:
        status: Its status.
        headers: Its headers.
        body: Its body.
    """

    status: int
    headers: Headers
    body: bytes


Question = Append | LookUp | ReadAnswer | Register | Ask
Answer = (
    Taken | TakenInPart | TakenBefore | NotStored | Failed | Seen | Registered | Told
)
ToOwner = Ready | Question | Add | Prolong | ForgetSessions | WorkerStatus
ToWorker = Begin | PutSites | PutSalts | Finish | Answer

encoder: Final = msgspec.msgpack.Encoder()
decode_to_owner: Final = msgspec.msgpack.Decoder(ToOwner).decode
decode_to_worker: Final = msgspec.msgpack.Decoder(ToWorker).decode
