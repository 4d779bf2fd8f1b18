"""The body of a batch is what the schema reads, and repeats itself on a retry."""

import gzip

import pytest

import headwater
from headwater._batch import ENVELOPE_BYTES, FrozenBatch, compress
from headwater_schema.codec import decode_batch
from headwater_schema.ids import new_batch_id

EVENTS = tuple(b'{"event":"e%d","distinct_id":"d"}' % number for number in range(5))


def test_body_is_read_by_the_schema() -> None:
    batch_id = new_batch_id()
    decoded = decode_batch(FrozenBatch(batch_id, 0, EVENTS).encode(1_700_000_000_000))
    assert [event.event for event in decoded.events] == ["e0", "e1", "e2", "e3", "e4"]
    envelope = decoded.envelope
    assert str(envelope.batch_id) == batch_id
    assert envelope.sent_at == 1_700_000_000_000
    assert envelope.sdk is not None
    assert envelope.sdk.name == "headwater-python"
    assert envelope.sdk.version == headwater.__version__


def test_two_attempts_differ_in_nothing_but_the_time_of_sending() -> None:
    batch = FrozenBatch(new_batch_id(), 0, EVENTS)
    assert batch.encode(111).replace(b"111", b"222", 1) == batch.encode(222)


def test_envelope_fits_into_what_is_set_aside_for_it() -> None:
    body = FrozenBatch(new_batch_id(), 0, EVENTS).encode(10**15)
    assert len(body) - len(b",".join(EVENTS)) <= ENVELOPE_BYTES


@pytest.mark.parametrize("size", [2, 3, 5])
def test_halves_are_never_empty_and_know_their_numbers(size: int) -> None:
    first, second = FrozenBatch("a", 10, EVENTS[:size]).halves("b", "c")
    assert first.events + second.events == EVENTS[:size]
    assert first.events
    assert second.events
    assert (first.first, second.first) == (10, 10 + len(first.events))


def test_small_bodies_are_not_worth_compressing() -> None:
    assert compress(b"a" * 1023) is None
    compressed = compress(b"a" * 1024)
    assert compressed is not None
    assert len(compressed) < 100
    assert gzip.decompress(compressed) == b"a" * 1024
