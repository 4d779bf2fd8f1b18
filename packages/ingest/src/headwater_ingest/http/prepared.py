"""What a batch is before the wait for the disk: ready, known, or answered.

Nothing decoded is kept in any of them.
"""

from collections import Counter
from typing import Final

import msgspec

from headwater_ingest.journal.counts import Count
from headwater_ingest.journal.entry import Entry
from headwater_ingest.pipeline.native import BuiltBatch, NativeBatch
from headwater_ingest.rows import encode_rows
from headwater_schema.batch import BatchResult
from headwater_schema.codec import encode_json
from headwater_schema.outcomes import Outcome

# Looked up here once: the value of a member takes half a µs.
_ACCEPTED: Final = Outcome.ACCEPTED.value
_DUPLICATE: Final = Outcome.DUPLICATE.value


class Prepared(msgspec.Struct, frozen=True):
    """A batch that has only the wait for the disk before it.

    Attributes:
        entry: What to append.
        refused_properties: How many properties were left out.
        future_times: How many events had a time in the future.
    """

    entry: Entry
    refused_properties: int
    future_times: int


class Known(msgspec.Struct, frozen=True):
    """A batch whose id was taken before.

    Attributes:
        key: Under which the window knows it.
    """

    key: bytes


class Answered(msgspec.Struct, frozen=True):
    """A batch that needs no wait for the disk.

    Attributes:
        answer: What is said of it, an encoded `BatchResult`.
    """

    answer: bytes


def pack_batch(
    batch: NativeBatch,
    key: bytes,
    built: BuiltBatch,
    losses: tuple[Count, ...],
    *,
    seen_through: int,
) -> Prepared:
    """Returns a batch that is ready for the journal.

    Args:
        batch: The batch.
        key: Under which the window will know it.
        built: What the pipeline made of it.
        losses: What its client says it has lost.
        seen_through: See `Entry`.
    """
    entry = Entry(
        site_id=batch.site_id,
        batch_id=key,
        event_ids=b"".join(built.keys),
        rows=encode_rows(built.rows) if built.keys else b"",
        row_count=len(built.keys),
        answer=encode_json(built.result),
        ids_digest=built.ids_digest,
        counts=count_result(batch.site_id, built.result) + losses,
        seen_through=seen_through,
    )
    return Prepared(entry, batch.decoded.refused_properties, built.future_times)


def count_result(site_id: int, result: BatchResult) -> tuple[Count, ...]:
    """Returns what becomes of the events of a batch."""
    counts = []
    if result.accepted:
        counts.append(Count(site_id, _ACCEPTED, "", result.accepted))
    if result.duplicates:
        counts.append(Count(site_id, _DUPLICATE, "", result.duplicates))
    if results := result.results:
        refused = Counter((each.outcome, each.reason) for each in results.values())
        for (outcome, reason), events in refused.items():
            counts.append(Count(site_id, outcome, reason, events))
    return tuple(counts)
