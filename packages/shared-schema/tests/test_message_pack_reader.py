"""MessagePack is taken apart by the lengths it states."""

import math
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater_schema import _message_pack_reader as reader
from headwater_schema._message_pack_reader import _Scanner
from headwater_schema._unreadable import KEPT_DEPTH, UnreadableValue
from headwater_schema.errors import MalformedBodyError

encode = msgspec.msgpack.encode

# One value for each first byte that the format knows.
SAMPLES: list[tuple[bytes, Any]] = [
    (b"\x00", 0),
    (b"\x7f", 127),
    (b"\xe0", -32),
    (b"\xff", -1),
    (b"\x80", {}),
    (b"\x81\xa1a\x01", {"a": 1}),
    (b"\x90", []),
    (b"\x92\x01\x02", [1, 2]),
    (b"\xa0", ""),
    (b"\xbf" + b"x" * 31, "x" * 31),
    (b"\xc0", None),
    (b"\xc2", False),
    (b"\xc3", True),
    (b"\xc4\x01a", b"a"),
    (b"\xc5\x00\x01a", b"a"),
    (b"\xc6\x00\x00\x00\x01a", b"a"),
    (b"\xc7\x03\x05abc", msgspec.msgpack.Ext(5, b"abc")),
    (b"\xc8\x00\x03\x05abc", msgspec.msgpack.Ext(5, b"abc")),
    (b"\xc9\x00\x00\x00\x03\x05abc", msgspec.msgpack.Ext(5, b"abc")),
    (b"\xca\x3f\x80\x00\x00", 1.0),
    (b"\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00", 1.0),
    (b"\xcc\xff", 255),
    (b"\xcd\xff\xff", 65535),
    (b"\xce\xff\xff\xff\xff", 2**32 - 1),
    (b"\xcf" + b"\xff" * 8, 2**64 - 1),
    (b"\xd0\x80", -128),
    (b"\xd1\x80\x00", -(2**15)),
    (b"\xd2\x80\x00\x00\x00", -(2**31)),
    (b"\xd3\x80" + b"\x00" * 7, -(2**63)),
    (b"\xd4\x05a", msgspec.msgpack.Ext(5, b"a")),
    (b"\xd5\x05ab", msgspec.msgpack.Ext(5, b"ab")),
    (b"\xd6\xff\x00\x00\x00\x01", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
    (b"\xd7\x05" + b"x" * 8, msgspec.msgpack.Ext(5, b"x" * 8)),
    (b"\xd8\x05" + b"x" * 16, msgspec.msgpack.Ext(5, b"x" * 16)),
    (b"\xd9\x01a", "a"),
    (b"\xda\x00\x01a", "a"),
    (b"\xdb\x00\x00\x00\x01a", "a"),
    (b"\xdc\x00\x01\x01", [1]),
    (b"\xdd\x00\x00\x00\x01\x01", [1]),
    (b"\xde\x00\x01\xa1a\x01", {"a": 1}),
    (b"\xdf\x00\x00\x00\x01\xa1a\x01", {"a": 1}),
]


@pytest.mark.parametrize(
    "source, value", [pytest.param(*each, id=each[0][:1].hex()) for each in SAMPLES]
)
def test_value_of_each_layout_is_read_and_stepped_over(
    source: bytes, value: object
) -> None:
    assert _Scanner(source).load(0) == value
    assert list(reader.elements(b"\x92" + source + b"\x07")) == [source, b"\x07"]
    for end in range(len(source)):
        with pytest.raises(MalformedBodyError):
            _Scanner(source[:end]).load(0)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
)


@settings(deadline=None)
@given(values)
def test_value_is_read_as_the_fast_decoder_reads_it(value: Any) -> None:
    assert reader.load(encode(value)) == value
    assert _Scanner(encode(value)).load(0) == value


@settings(deadline=None)
@given(st.dictionaries(st.text(), values))
def test_members_of_a_map_are_found(value: dict[str, Any]) -> None:
    found = reader.members(encode(value))
    assert found == {name: encode(each) for name, each in value.items()}


@settings(deadline=None)
@given(st.lists(values))
def test_elements_of_an_array_are_found(value: list[Any]) -> None:
    assert list(reader.elements(encode(value))) == [encode(each) for each in value]


@pytest.mark.parametrize(
    "source",
    [b"", b"\x01", b"\x90", b"\x81", b"\x81\xa1a", b"\x80\x80", b"\x81\xc1\x01"],
)
def test_source_that_is_no_map_is_malformed(source: bytes) -> None:
    with pytest.raises(MalformedBodyError, match="MessagePack is malformed"):
        reader.members(source)


@pytest.mark.parametrize(
    "source",
    [b"", b"\x80", b"\x91", b"\x92\x01", b"\x90\x90", b"\xdd\xff\xff\xff\xff\x01"],
)
def test_source_that_is_no_array_is_malformed(source: bytes) -> None:
    with pytest.raises(MalformedBodyError, match="MessagePack is malformed"):
        list(reader.elements(source))


@pytest.mark.parametrize("source", [b"", b"\xc1", b"\xdf\xff\xff\xff\xff"])
def test_value_that_is_not_message_pack_is_malformed(source: bytes) -> None:
    with pytest.raises(MalformedBodyError, match="MessagePack is malformed"):
        reader.load(source)


@pytest.mark.parametrize("header", [b"\xa2", b"\xd9\x02", b"\xda\x00\x02"])
def test_invalid_text_is_replaced(header: bytes) -> None:
    assert reader.load(header + b"a\xff") == "a\ufffd"


def test_unreadable_parts_do_not_spoil_the_rest() -> None:
    late = b"\xc7\x0c\xff" + b"\0" * 4 + b"\x7f" + b"\xff" * 7
    source = b"\x84\xa1a\x01\x91\x01\x02\x80\x03\xa1b" + late
    tree = reader.load(source)
    assert tree["a"] == 1
    assert isinstance(tree["b"], UnreadableValue)
    assert sum(isinstance(key, UnreadableValue) for key in tree) == 2


@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1a", b"\x91\x81\xa1a"])
def test_endless_nesting_is_cut(opening: bytes) -> None:
    value = reader.load(opening * 50_000 + b"\x01")
    levels = 0
    while value != []:
        value = value[0] if isinstance(value, list) else value["a"]
        levels += 1
    assert levels == KEPT_DEPTH


def test_nan_is_read() -> None:
    assert math.isnan(reader.load(encode(math.nan)))
