"""What the client sends and what the service answers.

Unknown fields are ignored and missing optional ones default, in both directions: an
older client works with a newer service, and the other way round.
"""

from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from headwater_schema.events import Event, Name, Timestamp
from headwater_schema.limits import MAX_BATCH_EVENTS
from headwater_schema.outcomes import ErrorCode

Count = Annotated[int, Meta(ge=0)]


class Sdk(Struct, omit_defaults=True, frozen=True):
    """Which library made the batch.

    Attributes:
        name: Its name, such as `headwater-python`.
        version: Its version.
    """

    name: Name
    version: str = ""


class Envelope(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """What a batch says once for all its events.

    Attributes:
        api_key: The write key, for clients that cannot set a header.
        batch_id: Unique id, the same on every retry of the same events.
        sent_at: The client's clock at this attempt.
        historical: The events are old on purpose: their times are believed.
        sdk: Which library made the batch.
        client_losses: Events that the client gave up since its last batch, by reason.
    """

    api_key: str | None = None
    batch_id: UUID | None = None
    sent_at: Timestamp | None = None
    historical: bool = False
    sdk: Sdk | None = None
    client_losses: dict[Name, Count] | None = None


class Batch(Envelope, omit_defaults=True, frozen=True, kw_only=True):
    """Body of `POST /ingest-events`.

    Attributes:
        events: What happened, in the order of the client.
    """

    events: Annotated[list[Event], Meta(max_length=MAX_BATCH_EVENTS)]


class EventResult(Struct, omit_defaults=True, frozen=True):
    """What became of one event that was not stored.

    Attributes:
        outcome: `dropped` or `invalid`, a member of `Outcome`.
        reason: Why, a member of `Reason`. Both are plain text here, so that a client
            can read the reasons of a service that is newer than itself.
        detail: What exactly, for a person to read.
    """

    outcome: str
    reason: str
    detail: str = ""


class BatchResult(Struct, frozen=True, kw_only=True):
    """What became of the events of a batch.

    Attributes:
        accepted: Stored by this request.
        duplicates: Stored by an earlier one.
        dropped: Left out on purpose, counted by reason.
        invalid: Could not be stored.
        results: Each event that was dropped or invalid, by its event id, or by
            `#<index>` where the id is missing, malformed or repeated in the batch.
    """

    accepted: Count = 0
    duplicates: Count = 0
    dropped: dict[str, Count] = {}
    invalid: Count = 0
    results: dict[str, EventResult] = {}


class Answer(Struct, frozen=True, kw_only=True):
    """The answer to a batch that was taken, always with status 200.

    Attributes:
        success: Always true.
        data: What became of the events.
        meta: Nothing yet; a newer service may say more here.
    """

    success: bool = True
    data: BatchResult
    meta: dict[str, Any] = {}


class ErrorBody(Struct, frozen=True):
    """Code and message, in the place where some clients look for them.

    Attributes:
        code: The same as `code` beside `error`.
        message: The same as `message` beside `error`.
    """

    code: str
    message: str


class ErrorAnswer(Struct, frozen=True, kw_only=True):
    """The answer to a request of which nothing was stored.

    It says the same in three ways, since clients of other products read one of
    `error.message`, `message` and `detail`.

    Attributes:
        success: Always false.
        error: Code and message once more.
        code: Why, a member of `ErrorCode`; as plain text, so that a client can read
            the codes of a service that is newer than itself.
        message: What is wrong and what to do, for a person to read.
        detail: The same as `message`.
    """

    success: bool = False
    error: ErrorBody
    code: str
    message: str
    detail: str

    @classmethod
    def of(cls, code: ErrorCode, message: str) -> "ErrorAnswer":
        """Returns the answer for `code`, with `message` to tell what to do."""
        body = ErrorBody(code, message)
        return cls(error=body, code=code, message=message, detail=message)
