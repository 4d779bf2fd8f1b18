"""The journal as a worker sees it: in another process, without a window of its own."""

from collections.abc import Iterable
from typing import Final

import msgspec

from headwater_ingest import errors
from headwater_ingest.errors import JournalError, JournalFullError
from headwater_ingest.journal.counts import Count
from headwater_ingest.journal.entry import (
    Committed,
    Entry,
    PartlyRepeated,
    Receipt,
    Repeated,
    StoredAnswer,
    split_ids,
)
from headwater_ingest.journal.journal import MAX_WAITING_BYTES
from headwater_ingest.worker.owner_link import OwnerLink
from headwater_ingest.worker.protocol import (
    Add,
    Answer,
    Append,
    Failed,
    LookUp,
    NotStored,
    ReadAnswer,
    Seen,
    Taken,
    TakenBefore,
    TakenInPart,
)

_COMMITTED: Final = Committed()


class KnownPart(msgspec.Struct, frozen=True):
    """What the window has of a batch.

    Attributes:
        batch: Whether its id is known.
        events: Those of its events that are.
    """

    batch: bool
    events: frozenset[bytes]


class RemoteJournal:
    """Has the owner append. The errors are those of `Journal`, and `OwnerGoneError`."""

    def __init__(self, owner: OwnerLink) -> None:
        self._owner = owner
        self._waiting_bytes = 0

    async def append(self, entry: Entry) -> Receipt:
        """Return when the owner has put an entry on disk.

        Raises:
            JournalError: As `Journal.append` says.
        """
        if self._waiting_bytes >= MAX_WAITING_BYTES:
            raise JournalFullError("too much waits for the disk: try again in a second")
        size = entry.size
        self._waiting_bytes += size
        try:
            answer = await self._owner.ask(Append(entry))
        finally:
            self._waiting_bytes -= size
        match answer:
            case Taken():
                return _COMMITTED
            case TakenInPart():
                return PartlyRepeated(answer.answer)
            case TakenBefore():
                return Repeated(StoredAnswer(answer.ids_digest, answer.answer))
            case _:
                raise to_error(answer)

    async def look_up(self, batch_id: bytes, event_ids: Iterable[bytes]) -> KnownPart:
        """Return what of a batch is known.

        Raises:
            OwnerGoneError: Nobody can say.
        """
        answer = await self._owner.ask(LookUp(batch_id, b"".join(event_ids)))
        if not isinstance(answer, Seen):
            raise to_error(answer)
        return KnownPart(answer.batch, frozenset(split_ids(answer.event_ids)))

    async def stored_answer(self, batch_id: bytes) -> StoredAnswer | None:
        """Return what is stored for a batch, or None when it is not in the window.

        Raises:
            JournalError: As `Journal.stored_answer` says.
        """
        answer = await self._owner.ask(ReadAnswer(batch_id))
        match answer:
            case TakenBefore():
                return StoredAnswer(answer.ids_digest, answer.answer)
            case NotStored():
                return None
            case _:
                raise to_error(answer)

    def count(self, count: Count) -> None:
        """Have the owner count events that leave no rows; a kill loses it."""
        self._owner.tell(Add(count))


def to_error(answer: Answer) -> JournalError:
    """Return the error that an answer stands for."""
    if not isinstance(answer, Failed):
        raise TypeError(f"the owner answers what was not asked: {answer!r}")
    return _ERRORS[answer.kind](answer.message)


def to_answer(error: JournalError) -> Failed:
    """Return the answer that stands for an error."""
    return Failed(type(error).__name__, str(error))


_ERRORS: Final[dict[str, type[JournalError]]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, JournalError)
}
