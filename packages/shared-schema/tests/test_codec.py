"""Bytes to batch and back: nothing is lost, nothing but a BodyError is raised."""

import json
import math
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from headwater_schema._careful import decode_carefully
from headwater_schema._formats import JSON, MESSAGE_PACK
from headwater_schema.batch import Batch, Envelope, Sdk
from headwater_schema.codec import (
    BodyError,
    DecodedBatch,
    MalformedBodyError,
    TooLargeError,
    decode_answer,
    decode_batch,
    decode_error,
    encode_json,
    encode_message_pack,
)
from headwater_schema.events import Event
from headwater_schema.limits import (
    MAX_BATCH_BYTES,
    MAX_BATCH_EVENTS,
    MAX_EVENT_BYTES,
    MAX_FORGIVEN_BYTES,
)
from headwater_schema.outcomes import Reason

ID = "01993a5e-6a01-7b02-8c03-0d04e05f0601"
GOOD = {"event": "good", "distinct_id": "user-1", "properties": {"n": 1}}

formats = st.sampled_from([JSON, MESSAGE_PACK])
encoders: dict[bool, Callable[[Any], bytes]] = {
    False: encode_json,
    True: encode_message_pack,
}

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
names = texts.filter(bool)
wire_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
)
wire_values = st.recursive(
    wire_scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)
    ),
    max_leaves=15,
)
wire_properties = st.dictionaries(texts, wire_values, max_size=5)
timestamps = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: x % 1),
    st.datetimes(timezones=st.timezones()).map(
        lambda time: msgspec.convert(msgspec.to_builtins(time), type(time))
    ),
)
events = st.builds(
    Event,
    names,
    names,
    st.none() | st.uuids(),
    timestamps,
    wire_properties,
    st.dictionaries(names, names, max_size=3),
)
batches = st.builds(
    Batch,
    api_key=st.none() | texts,
    batch_id=st.none() | st.uuids(),
    sent_at=timestamps,
    historical=st.booleans(),
    sdk=st.none() | st.builds(Sdk, names, texts),
    client_losses=st.none() | st.dictionaries(names, st.integers(0, 10**9)),
    events=st.lists(events, max_size=5),
)


def envelope_of(batch: Batch) -> Envelope:
    fields = {name: getattr(batch, name) for name in Envelope.__struct_fields__}
    return Envelope(**fields)


def decode(events: object, **envelope: object) -> DecodedBatch:
    return decode_batch(json.dumps({**envelope, "events": events}).encode())


@settings(deadline=None)
@given(batches, st.booleans())
def test_batch_is_the_same_after_the_way_over_the_wire(
    batch: Batch,
    message_pack: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    decoded = decode_batch(encoders[message_pack](batch), message_pack=message_pack)
    assert decoded.envelope == envelope_of(batch)
    assert decoded.events == batch.events
    assert list(decoded.indices) == list(range(len(batch.events)))
    assert decoded.refused == []
    assert decoded.refused_properties == 0


@settings(deadline=None)
@given(batches, st.booleans())
def test_second_look_sees_the_same_as_the_first(
    batch: Batch,
    message_pack: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    body = encoders[message_pack](batch)
    once = decode_batch(body, message_pack=message_pack)
    twice = decode_carefully(body, MESSAGE_PACK if message_pack else JSON)
    assert twice.envelope == once.envelope
    assert twice.events == once.events
    assert twice.indices == list(once.indices)


def try_to_decode(body: bytes, *, message_pack: bool) -> None:
    try:
        decoded = decode_batch(body, message_pack=message_pack)
    except BodyError:
        return
    places = [*decoded.indices, *(refused.index for refused in decoded.refused)]
    assert sorted(places) == list(range(len(places)))
    sent = encode_json(decoded.events)
    assert json.loads(sent) == msgspec.to_builtins(decoded.events)
    assert "\0" not in str(json.loads(sent))
    assert encode_message_pack(decoded.events)


@settings(deadline=None)
@given(st.binary(), st.booleans())
def test_arbitrary_bytes_raise_nothing_but_a_body_error(
    body: bytes,
    message_pack: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    try_to_decode(body, message_pack=message_pack)


FAULTS = [
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"\\ud800",
    b"\\u0000",
    b"\\u12",
    b"\xff",
    b"\x00",
    b"\xc1",
    b"\xdf\xff\xff\xff\xff",
    b"\xd6\xff",
    b"\x81\x80",
    *(bytes([mark]) for mark in b'"\\{}[],: 0'),
    b"[" * 2000,
    b"\x91" * 2000,
]


@settings(deadline=None, max_examples=300)
@given(batches, st.booleans(), st.data())
def test_damaged_batch_raises_nothing_but_a_body_error(
    batch: Batch,
    message_pack: bool,  # noqa: FBT001 - drawn by hypothesis
    data: st.DataObject,
) -> None:
    body = encoders[message_pack](batch)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(body)))
        end = data.draw(st.integers(start, min(start + 4, len(body))))
        fault = data.draw(st.sampled_from(FAULTS) | st.binary(max_size=3))
        body = body[:start] + fault + body[end:]
    try_to_decode(body, message_pack=message_pack)


def raw(value: object) -> bytes:
    """Writes JSON with all that Python forgives: NaN and lone surrogates."""
    return json.dumps(value).encode()


any_text = st.text(st.characters(codec=None), max_size=10)
any_json = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), any_text, st.just(10**400)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(any_text, inner, max_size=3)
    ),
    max_leaves=8,
).map(raw)
# `<large>` stands for a text that is too large, and too large to be printed.
odd_json = st.sampled_from(
    [
        b"[" * 5000 + b"]" * 5000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"1" * 5000,
        b"1e999",
        b'"\xff\xfe"',
        b'"raw \x01\n"',
        b'"brackets ]}[{ and \\" quotes \\\\"',
        b'"<large>"',
    ]
)
json_neighbours = st.one_of(
    any_json,
    odd_json,
    st.tuples(st.sampled_from(list(Event.__struct_fields__)), any_json | odd_json).map(
        lambda field: b'{"event":"bad","%b":%b}' % (field[0].encode(), field[1])
    ),
    (any_json | odd_json).map(
        lambda value: b'{"event":"a","distinct_id":"b","properties":{"x":%b}}' % value
    ),
)


@settings(deadline=None)
@given(st.lists(json_neighbours, min_size=1, max_size=3))
def test_good_json_events_are_kept_whatever_their_neighbours_are(
    neighbours: list[bytes],
) -> None:
    good = encode_json(GOOD)
    sources = [good]
    for neighbour in neighbours:
        sources += [neighbour.replace(b"<large>", b"x" * MAX_EVENT_BYTES), good]
    body = b'{"events":[%b]}' % b",".join(sources)
    assume(len(body) <= MAX_FORGIVEN_BYTES)
    decoded = decode_batch(body)
    kept = dict(zip(decoded.indices, decoded.events, strict=True))
    for index in range(0, len(sources), 2):
        assert kept[index] == Event("good", "user-1", properties={"n": 1})
    assert len(kept) + len(decoded.refused) == len(sources)


def text_of(payload: bytes) -> bytes:
    return bytes([0xA0 + len(payload)]) + payload


odd_message_pack = st.sampled_from(
    [
        b"\x91" * 5000 + b"\x01",
        b"\x81\xa1a" * 5000 + b"\x01",
        b"\xc4\x01a",
        b"\xd4\x05\x00",
        b"\xc7\x0c\xff" + b"\0" * 4 + b"\x7f" + b"\xff" * 7,
        text_of(b"\xff\xfe"),
        b"<large>",
        b"\x82\x01\xa1a\xff\xa1b",
        b"\x81\x91\x01\x01",
        b"\x81\x80\x01",
        encode_message_pack(math.nan),
    ]
)
any_message_pack = st.recursive(
    st.one_of(
        wire_scalars,
        st.floats(),
        st.binary(max_size=10),
        st.datetimes(timezones=st.timezones()),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(wire_scalars, inner, max_size=3),
    ),
    max_leaves=8,
).map(encode_message_pack)
message_pack_neighbours = st.one_of(
    any_message_pack,
    odd_message_pack,
    st.tuples(
        st.sampled_from(list(Event.__struct_fields__)),
        any_message_pack | odd_message_pack,
    ).map(
        lambda field: b"\x81" + text_of(field[0].encode()) + field[1],
    ),
    (any_message_pack | odd_message_pack).map(
        lambda value: (
            b"\x83\xa5event\xa1a\xabdistinct_id\xa1b\xaaproperties\x81\xa1x" + value
        )
    ),
)


@settings(deadline=None)
@given(st.lists(message_pack_neighbours, min_size=1, max_size=3))
def test_good_message_pack_events_are_kept_whatever_their_neighbours_are(
    neighbours: list[bytes],
) -> None:
    good = encode_message_pack(GOOD)
    large = b"\xdb" + MAX_EVENT_BYTES.to_bytes(4, "big") + b"x" * MAX_EVENT_BYTES
    sources = [good]
    for neighbour in neighbours:
        sources += [neighbour.replace(b"<large>", large), good]
    body = b"\x81\xa6events" + bytes([0x90 + len(sources)]) + b"".join(sources)
    assume(len(body) <= MAX_FORGIVEN_BYTES)
    decoded = decode_batch(body, message_pack=True)
    kept = dict(zip(decoded.indices, decoded.events, strict=True))
    for index in range(0, len(sources), 2):
        assert kept[index] == Event("good", "user-1", properties={"n": 1})
    assert len(kept) + len(decoded.refused) == len(sources)


@pytest.mark.parametrize("message_pack", [False, True])
def test_events_of_a_batch_larger_than_one_event_are_all_decoded(
    *, message_pack: bool
) -> None:
    event = {**GOOD, "properties": {"text": "x" * 1000}}
    body = encoders[message_pack]({"events": [event] * 3000})
    assert len(body) > MAX_EVENT_BYTES
    decoded = decode_batch(body, message_pack=message_pack)
    assert len(decoded.events) == 3000
    assert decoded.refused == []


def test_property_of_a_refused_event_is_not_counted() -> None:
    bad = b'{"event":1,"properties":{"a":%b}}' % (b"1" * 4301)
    good = b'{"event":"e","distinct_id":"d","properties":{"a":%b}}' % (b"1" * 4301)
    decoded = decode_batch(b'{"events":[%b,%b]}' % (bad, good))
    assert decoded.refused_properties == 1


def test_id_of_an_event_that_is_too_large_is_told() -> None:
    for fault in (b"1", b"NaN", b"[" * 5000 + b"]" * 5000):
        event = b'{"properties":{"a":"%b","b":%b},"event_id":"%b"}' % (
            b"x" * MAX_EVENT_BYTES,
            fault,
            ID.encode(),
        )
        (refused,) = decode_batch(b'{"events":[%b]}' % event).refused
        assert refused.reason is Reason.EVENT_TOO_LARGE
        assert refused.event_id == UUID(ID)


@pytest.mark.parametrize("event_id", [ID.encode(), b"no-uuid", b"\xff"])
def test_events_that_are_too_large_leave_the_others_their_second_look(
    event_id: bytes,
) -> None:
    text = b"x" * MAX_EVENT_BYTES
    large = b'{"event_id":"%b","properties":{"a":"%b"}}' % (event_id, text)
    odd = b'{"event":"e","distinct_id":"d","properties":{"a":"\\u0000"}}'
    decoded = decode_batch(b'{"events":[%b]}' % b",".join([*[large] * 4, odd]))
    assert decoded.indices == [4]
    reasons = [refused.reason for refused in decoded.refused]
    assert reasons == [Reason.EVENT_TOO_LARGE] * 4


def test_the_look_for_an_id_takes_nothing_from_what_is_forgiven() -> None:
    text = b"x" * (MAX_FORGIVEN_BYTES * 3 // 10)
    event = b'{"event_id":"%b","properties":{"a":NaN,"b":"%b"}}' % (ID.encode(), text)
    refused = decode_batch(b'{"events":[%b]}' % b",".join([event] * 3)).refused
    assert [(each.reason, each.event_id) for each in refused] == [
        (Reason.MALFORMED_EVENT, UUID(ID))
    ] * 3


@pytest.mark.parametrize("event_id", ["no-uuid", "\ud800", 5, None, ["x"], {"a": ID}])
def test_id_that_cannot_be_read_is_none(event_id: object) -> None:
    (refused,) = decode([{"event_id": event_id}]).refused
    assert refused.event_id is None


def test_event_with_many_commas_is_decoded() -> None:
    events = [{**GOOD, "properties": {"n": [1] * 255_000}}] * 4
    decoded = decode_batch(encode_json({"events": events}))
    assert [len(event.properties["n"]) for event in decoded.events] == [255_000] * 4


def body_of(prefix: bytes, item: bytes, count: int) -> bytes:
    event = b'{"event":"e","distinct_id":"d","properties":{"a":[%b]}}'
    event %= b",".join([prefix, *[item] * count])
    assert len(event) <= MAX_EVENT_BYTES
    return b'{"events":[%b]}' % b",".join([event] * 18)


@pytest.mark.parametrize(
    "body",
    [
        body_of(b"1", b"[" * 200_000 + b"]" * 200_000, 2),
        body_of(b"1", b"NaN", 250_000),
        body_of(b'"\\u0000"', b"[]", 340_000),
        body_of(b"1", b'"\\ud800"', 100_000),
    ],
    ids=["nesting", "NaN", "NUL", "surrogates"],
)
def test_second_look_at_a_large_batch_is_refused(body: bytes) -> None:
    with pytest.raises(TooLargeError, match="send smaller batches"):
        decode_batch(body)


def test_second_look_at_many_large_message_pack_events_is_refused() -> None:
    event = b"\x83\xa5event\xa1e\xabdistinct_id\xa1u\xaaproperties\x81\xa1a\xdc\xff\xff"
    event += b"\x81\x01\xc0" * 65_535
    body = b"\x81\xa6events\x9f" + event * 15
    with pytest.raises(TooLargeError, match="send smaller batches"):
        decode_batch(body, message_pack=True)


@pytest.mark.parametrize("message_pack", [False, True])
def test_batch_of_too_many_bytes_is_not_read(*, message_pack: bool) -> None:
    with pytest.raises(TooLargeError, match=f"send at most {MAX_BATCH_BYTES}"):
        decode_batch(b" " * (MAX_BATCH_BYTES + 1), message_pack=message_pack)


def test_limits_are_the_same_for_a_batch_with_a_bad_event() -> None:
    largest = b'{"event":"e","distinct_id":"d","properties":{"x":"%b"}}'
    largest %= b"x" * (MAX_EVENT_BYTES - len(largest) + 2)
    assert len(largest) == MAX_EVENT_BYTES
    others = [b"NaN"] + [b'{"event":"e","distinct_id":"d"}'] * (MAX_BATCH_EVENTS - 2)
    decoded = decode_batch(b'{"events":[%b]}' % b",".join([largest, *others]))
    assert len(decoded.events) == MAX_BATCH_EVENTS - 1
    assert [refused.index for refused in decoded.refused] == [1]


@pytest.mark.parametrize("event", [b"0", b'{"event":"e","distinct_id":"d"}', b"NaN"])
@pytest.mark.parametrize("count", [MAX_BATCH_EVENTS + 1, 600_000])
def test_batch_of_too_many_json_events_is_refused(event: bytes, count: int) -> None:
    with pytest.raises(TooLargeError, match=r"send (them in parts|smaller batches)"):
        decode_batch(b'{"events":[%b]}' % b",".join([event] * count))


@pytest.mark.parametrize("event", [b"\x01", b"\x80", b"\x91" * 5000 + b"\x01"])
def test_batch_of_too_many_message_pack_events_is_refused(event: bytes) -> None:
    count = (MAX_BATCH_EVENTS + 1).to_bytes(4, "big")
    others = b"\x01" * MAX_BATCH_EVENTS
    body = b"\x81\xa6events\xdd" + count + event + others
    with pytest.raises(TooLargeError, match=f"more than {MAX_BATCH_EVENTS} events"):
        decode_batch(body, message_pack=True)


def test_millions_of_json_events_are_not_even_separated() -> None:
    body = b'{"events":[%b0]}' % (b"0," * 4_000_000)
    with pytest.raises(TooLargeError, match="more than"):
        decode_batch(body)


def test_place_of_a_syntax_error_is_told() -> None:
    good = b'{"event":"e","distinct_id":"d"}'
    body = b'{"events":[%b,{"event":NaN},{"event":tru}]}' % good
    with pytest.raises(MalformedBodyError, match=r"\$\.events\[2\]"):
        decode_batch(body)


def test_envelope_keeps_nothing_of_the_body_alive() -> None:
    assert type(decode([GOOD]).envelope) is Envelope
    assert type(decode([GOOD, None]).envelope) is Envelope


@settings(deadline=None)
@given(st.binary() | any_json)
def test_foreign_answer_raises_nothing_but_a_malformed_body_error(body: bytes) -> None:
    for decode_it in (decode_answer, decode_error):
        with pytest.raises(MalformedBodyError):
            decode_it(body)


@pytest.mark.parametrize(
    "number, wire",
    [
        (2**64 - 1, 2**64 - 1),
        (-(2**63), -(2**63)),
        (2**64, str(2**64)),
        (-(2**63) - 1, str(-(2**63) - 1)),
        (10**4000, str(10**4000)),
    ],
    ids=["2^64-1", "-2^63", "2^64", "-2^63-1", "10^4000"],
)
def test_integer_beyond_64_bits_is_text_in_message_pack(
    number: int, wire: object
) -> None:
    event = Event("e", "d", UUID(ID), properties={"n": [number], "m": {"k": number}})
    body = encode_message_pack(Batch(events=[event]))
    (decoded,) = decode_batch(body, message_pack=True).events
    assert decoded.properties == {"n": [wire], "m": {"k": wire}}
    assert decoded.event_id == UUID(ID)
