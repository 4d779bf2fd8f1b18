"""From a decoded batch to rows: what the native endpoint does to its events.

One pass over the batch, since a call per step and event would double the cost (4.8
against 2.8 µs). For each event the first rule that refuses it ends its way:

1. its id repeats in the batch, or the window knows it: duplicate
2. it could not be decoded, its time is out of range, or its identity is a placeholder:
   invalid
3. otherwise it becomes a row.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

from siphashc import siphash

from headwater_ingest.enrich.url import read_page
from headwater_ingest.pipeline.identity import check_identity
from headwater_ingest.pipeline.properties import text_properties
from headwater_ingest.rows import Rows
from headwater_schema.batch import BatchResult, EventResult
from headwater_schema.clock import event_time_ms, skew_ms, to_ms
from headwater_schema.codec import DecodedBatch
from headwater_schema.events import Event
from headwater_schema.ids import derive_event_id
from headwater_schema.outcomes import Outcome, Reason

Seen = Callable[[Sequence[bytes]], Collection[bytes]]
"""Tells which of some event ids the window knows."""

_ZERO_KEY: Final = bytes(16)
"""ClickHouse's `sipHash64` has this key, so that its numbers and ours are the same."""

_URL: Final = "$current_url"
_SESSION: Final = "$session_id"


@dataclass(frozen=True, slots=True)
class NativeBatch:
    """A batch at the door of the pipeline.

    Attributes:
        site_id: The site that its key belongs to.
        batch_id: Its id, sent or derived.
        decoded: What was in it.
        received_at_ms: When it arrived.
    """

    site_id: int
    batch_id: UUID
    decoded: DecodedBatch
    received_at_ms: int


@dataclass(frozen=True, slots=True)
class BuiltBatch:
    """A batch that is ready for the journal.

    Attributes:
        rows: What is to be stored.
        result: What the answer says, should the journal take it.
        ids_digest: Digest of the ids of all its events, to tell a retry from another
            batch under the same id.
    """

    rows: Rows
    result: BatchResult
    ids_digest: bytes


def build_batch(batch: NativeBatch, *, seen: Seen) -> BuiltBatch:
    """Makes rows of the events of a batch that are neither known nor faulty."""
    decoded = batch.decoded
    ids = [
        event.event_id or derive_event_id(batch.batch_id, index)
        for index, event in zip(decoded.indices, decoded.events, strict=True)
    ]
    raw_ids = [event_id.bytes for event_id in ids]
    selection = _select(batch, ids, raw_ids, taken=set(seen(raw_ids)))
    rows = _make_rows(batch, selection)
    return BuiltBatch(rows, selection.result(), _digest(batch, raw_ids))


@dataclass(slots=True)
class _Selection:
    """The events of a batch that become rows, and what became of the others."""

    events: list[Event] = field(default_factory=list)
    ids: list[UUID] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    duplicates: int = 0
    results: dict[str, EventResult] = field(default_factory=dict)

    def refuse(
        self, index: int, event_id: UUID | None, reason: Reason, detail: str
    ) -> None:
        """Notes an event under its id as sent, or its place if that is no name."""
        label = str(event_id)
        if event_id is None or label in self.results:
            label = f"#{index}"
        self.results[label] = EventResult(reason.outcome, reason, detail)

    def result(self) -> BatchResult:
        """Returns what the answer says."""
        dropped = Counter(
            result.reason
            for result in self.results.values()
            if result.outcome == Outcome.DROPPED
        )
        return BatchResult(
            accepted=len(self.events),
            duplicates=self.duplicates,
            dropped=dict(dropped),
            invalid=len(self.results) - dropped.total(),
            results=self.results,
        )


def _select(
    batch: NativeBatch, ids: list[UUID], raw_ids: list[bytes], *, taken: set[bytes]
) -> _Selection:
    decoded = batch.decoded
    selection = _Selection()
    for refused in decoded.refused:
        selection.refuse(
            refused.index, refused.event_id, refused.reason, refused.detail
        )
    received_at, skew = batch.received_at_ms, _skew_ms(batch)
    for index, event, event_id, raw_id in zip(
        decoded.indices, decoded.events, ids, raw_ids, strict=True
    ):
        if raw_id in taken:
            selection.duplicates += 1
            continue
        taken.add(raw_id)
        time = event_time_ms(event.timestamp, received_at_ms=received_at, skew=skew)
        if time is None:
            detail = f"{event.timestamp} is before 2000 - at `$.timestamp`"
            selection.refuse(
                index, event.event_id, Reason.TIMESTAMP_OUT_OF_RANGE, detail
            )
        elif event.event[0] == "$" and (fault := check_identity(event)):
            selection.refuse(index, event.event_id, *fault)
        else:
            selection.events.append(event)
            selection.ids.append(event_id)
            selection.times.append(time)
    return selection


def _make_rows(batch: NativeBatch, selection: _Selection) -> Rows:
    """Makes the columns, and a constant of each that is the same throughout."""
    constants: dict[str, Any] = {
        "site_id": batch.site_id,
        "received_at": batch.received_at_ms,
    }
    sdk = batch.decoded.envelope.sdk
    if sdk:
        constants |= {"sdk": sdk.name, "sdk_version": sdk.version}
    varying = {}
    for name, column in _make_columns(selection).items():
        if column and column.count(column[0]) == len(column):
            constants[name] = column[0]
        else:
            varying[name] = column
    return Rows(selection.ids, constants, varying)


def _make_columns(selection: _Selection) -> dict[str, list[Any]]:
    events = selection.events
    properties = [event.properties for event in events]
    texts = [text_properties(each) for each in properties]
    columns: dict[str, list[Any]] = {
        "name": [event.event for event in events],
        "timestamp": selection.times,
        "user_id": [siphash(_ZERO_KEY, event.distinct_id) for event in events],
        "distinct_id": [event.distinct_id for event in events],
        "props": [each[0] for each in texts],
        "properties": [each[1] for each in texts],
        "groups": [event.groups for event in events],
    }
    if any(_URL in each for each in properties):
        pages = [_page(each.get(_URL)) for each in properties]
        columns["hostname"] = [hostname for hostname, _ in pages]
        columns["pathname"] = [pathname for _, pathname in pages]
    if any(_SESSION in each for each in properties):
        columns["session_id"] = [_session_id(each.get(_SESSION)) for each in properties]
    return columns


def _page(url: object) -> tuple[str, str]:
    return read_page(url) if isinstance(url, str) and url else ("", "")


def _session_id(session: object) -> int:
    return siphash(_ZERO_KEY, session) if isinstance(session, str) and session else 0


def _skew_ms(batch: NativeBatch) -> int:
    envelope = batch.decoded.envelope
    try:
        sent_at = None if envelope.sent_at is None else to_ms(envelope.sent_at)
    except (OverflowError, ValueError):
        sent_at = None
    return skew_ms(
        sent_at, received_at_ms=batch.received_at_ms, historical=envelope.historical
    )


def _digest(batch: NativeBatch, raw_ids: Sequence[bytes]) -> bytes:
    """Digests the ids of all events of a batch, those of refused ones included."""
    refused = [
        (item.event_id or derive_event_id(batch.batch_id, item.index)).bytes
        for item in batch.decoded.refused
    ]
    return blake2b(b"".join([*raw_ids, *refused]), digest_size=16).digest()
