"""What a server in memory has taken, and what it answers: as Headwater would."""

import threading
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from headwater._transport import Request, Response
from headwater_schema.batch import Answer, BatchResult, ErrorAnswer, EventResult
from headwater_schema.codec import BodyError, DecodedBatch, decode_batch
from headwater_schema.events import Event
from headwater_schema.ids import derive_event_id, new_batch_id
from headwater_schema.outcomes import ErrorCode, Outcome

_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_FORMAT: Final = 31
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"

_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event as it came out of the wire.

    Attributes:
        event: Its name.
        distinct_id: Who did it.
        properties: In their wire form: numbers, text, lists and objects.
        groups: Group types and keys.
        timestamp: When it happened, in UTC.
        event_id: Its id.
    """

    event: str
    distinct_id: str
    properties: dict[str, Any]
    groups: dict[str, str]
    timestamp: datetime | None
    event_id: str


class Inbox:
    """Takes requests and answers them; repeated events are taken once.

    May be used by any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._script: list[Response | Exception] = []
        self._events: dict[str, RecordedEvent] = {}
        self._requests = 0
        self._repeats = 0

    @property
    def events(self) -> list[RecordedEvent]:
        """The events that were taken, in the order of their coming."""
        with self._lock:
            return list(self._events.values())

    @property
    def requests(self) -> int:
        """How many requests came, those refused included."""
        return self._requests

    @property
    def repeats(self) -> int:
        """How many events came that had been taken before."""
        return self._repeats

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Has one of the next requests answered so, and what it holds not taken.

        Args:
            status: The HTTP status.
            body: The body of the answer.
            headers: Further headers, `_` for `-`: `retry_after="1"`.
        """
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        with self._lock:
            self._script.append(Response(status, named, body))

    def fail(self, error: Exception) -> None:
        """Has one of the next requests fail on its way."""
        with self._lock:
            self._script.append(error)

    def recover(self) -> None:
        """Forgets what was ordered: every request is answered as Headwater does."""
        with self._lock:
            self._script.clear()

    def take(self, request: Request) -> Response:
        """Answers a request.

        Raises:
            Exception: What `fail` was told.
        """
        with self._lock:
            self._requests += 1
            if self._script:
                scripted = self._script.pop(0)
                if isinstance(scripted, Exception):
                    raise scripted
                return scripted
            try:
                return self._store(request)
            except (BodyError, zlib.error) as error:
                return _refusal(400, ErrorCode.MALFORMED_BODY, str(error))

    def _store(self, request: Request) -> Response:
        headers = {name.lower(): text for name, text in request.headers.items()}
        if not headers.get("x-headwater-key"):
            return _refusal(401, ErrorCode.MISSING_KEY, "send a write key")
        batch = decode_batch(_inflate(request.body))
        accepted = sum(self._add(each) for each in _events_of(batch))
        repeats = len(batch.events) - accepted
        self._repeats += repeats
        result = BatchResult(
            accepted=accepted,
            duplicates=repeats,
            invalid=len(batch.refused),
            results={
                str(each.event_id or f"#{each.index}"): EventResult(
                    Outcome.INVALID, each.reason, each.detail
                )
                for each in batch.refused
            },
        )
        return Response(200, _JSON, _encode(Answer(data=result)))

    def _add(self, event: RecordedEvent) -> bool:
        return self._events.setdefault(event.event_id, event) is event


_JSON: Final = {"content-type": "application/json"}


def _events_of(batch: DecodedBatch) -> list[RecordedEvent]:
    batch_id = batch.envelope.batch_id or UUID(new_batch_id())
    return [
        _recorded(event, str(event.event_id or derive_event_id(batch_id, index)))
        for event, index in zip(batch.events, batch.indices, strict=True)
    ]


def _recorded(event: Event, event_id: str) -> RecordedEvent:
    return RecordedEvent(
        event=event.event,
        distinct_id=event.distinct_id,
        properties=event.properties,
        groups=event.groups,
        timestamp=_read_time(event.timestamp),
        event_id=event_id,
    )


def _read_time(timestamp: datetime | float | None) -> datetime | None:
    if timestamp is None or isinstance(timestamp, datetime):
        return timestamp
    return datetime.fromtimestamp(timestamp / 1000, UTC)


def _inflate(body: bytes) -> bytes:
    if body.startswith(_GZIP_MAGIC):
        return zlib.decompress(body, _GZIP_FORMAT)
    if body.startswith(_ZSTD_MAGIC):
        import zstandard  # noqa: PLC0415 - whoever sends this has it

        return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return body


def _refusal(status: int, code: ErrorCode, message: str) -> Response:
    return Response(status, _JSON, _encode(ErrorAnswer.of(code, message)))
