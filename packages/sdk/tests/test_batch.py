"""The body of a batch is what the schema reads, and repeats itself on a retry."""

import pytest

import headwater
from headwater._batch import ENVELOPE_BYTES, FrozenBatch
from headwater._errors import LossReason
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
    first, second = 1_111_111_111_111, 2_222_222_222_222  # longer than parts of an id
    expected = batch.encode(first).replace(b"%d" % first, b"%d" % second)
    assert batch.encode(second) == expected


def test_envelope_fits_into_what_is_set_aside_for_it() -> None:
    losses = dict.fromkeys(LossReason, 10**9)
    batch = FrozenBatch(new_batch_id(), 0, EVENTS, losses, historical=True)
    body = batch.encode(10**15)
    assert len(body) - len(b",".join(EVENTS)) <= ENVELOPE_BYTES


@pytest.mark.parametrize("size", [2, 3, 5])
def test_halves_are_never_empty_and_know_their_numbers(size: int) -> None:
    first, second = FrozenBatch("a", 10, EVENTS[:size]).halves("b", "c")
    assert first.events + second.events == EVENTS[:size]
    assert first.events
    assert second.events
    assert (first.first, second.first) == (10, 10 + len(first.events))


def test_losses_and_age_are_said_only_if_there_are_any() -> None:
    plain = decode_batch(FrozenBatch(new_batch_id(), 0, EVENTS).encode(1)).envelope
    assert (plain.client_losses, plain.historical) == (None, False)
    losses = {LossReason.QUEUE_FULL: 12}
    batch = FrozenBatch(new_batch_id(), 0, EVENTS, losses, historical=True)
    envelope = decode_batch(batch.encode(1)).envelope
    assert (envelope.client_losses, envelope.historical) == ({"queue_full": 12}, True)


def test_first_half_tells_of_the_losses_and_both_are_as_old() -> None:
    losses = {LossReason.CLOSED: 1}
    batch = FrozenBatch("a", 0, EVENTS, losses, historical=True)
    first, second = batch.halves("b", "c")
    assert (first.losses, second.losses) == (losses, {})
    assert first.historical
    assert second.historical
