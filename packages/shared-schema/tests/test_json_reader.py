"""JSON is taken apart by its brackets, whatever lies between them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater_schema import _json_reader as reader
from headwater_schema._unreadable import KEPT_DEPTH, UnreadableValue
from headwater_schema.errors import MalformedBodyError

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
)
layouts = st.sampled_from(
    [{}, {"indent": 2}, {"separators": (" ,\t", "\r\n: ")}, {"ensure_ascii": False}]
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), values), layouts)
def test_members_of_an_object_are_found(
    value: dict[str, Any], layout: dict[str, Any]
) -> None:
    source = json.dumps(value, **layout).encode()
    found = reader.members(source)
    assert {name: json.loads(each) for name, each in found.items()} == value


@settings(deadline=None)
@given(st.lists(values), layouts)
def test_elements_of_an_array_are_found(
    value: list[Any], layout: dict[str, Any]
) -> None:
    source = json.dumps(value, **layout).encode()
    assert [json.loads(each) for each in reader.elements(source)] == value


@settings(deadline=None)
@given(values, layouts)
def test_value_is_read_as_python_reads_it(value: Any, layout: dict[str, Any]) -> None:
    assert reader.load(json.dumps(value, **layout).encode()) == value


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b" ",
        b"[]",
        b"1",
        b"{",
        b'{"a"',
        b'{"a" 1}',
        b'{"a":',
        b'{"a":}',
        b'{"a":1',
        b'{"a":1,',
        b'{"a":1,}',
        b'{"a":1]',
        b'{"a":"x',
        b'{"a":"x\\"}',
        b'{"a":[1}',
        b'{"a":1} {}',
        b"{a:1}",
        b'{"a\\x":1}',
        b'{"a":1 2}',
    ],
)
def test_source_that_is_no_object_is_malformed(source: bytes) -> None:
    with pytest.raises(MalformedBodyError, match="JSON is malformed"):
        reader.members(source)


@pytest.mark.parametrize(
    "source", [b"", b"{}", b"[", b"[1", b"[1,", b"[1,]", b"[1}", b"[] []", b"[1 2]"]
)
def test_source_that_is_no_array_is_malformed(source: bytes) -> None:
    with pytest.raises(MalformedBodyError, match="JSON is malformed"):
        list(reader.elements(source))


def test_elements_are_found_one_by_one() -> None:
    found = reader.elements(b'[{"a":"]"}, "[", -1e5 ,[[]], and the rest is not read')
    assert [next(found) for _ in range(4)] == [b'{"a":"]"}', b'"["', b"-1e5", b"[[]]"]


@pytest.mark.parametrize(
    "source", [b"", b"tru", b"[1,]", b"01", b'"\\x"', b"[1}", b"1 1"]
)
def test_value_that_is_not_json_is_malformed(source: bytes) -> None:
    with pytest.raises(MalformedBodyError, match="JSON is malformed"):
        reader.load(source)


def test_integer_of_4300_digits_is_read_and_a_longer_one_is_not() -> None:
    nines = b"9" * 4300
    assert reader.load(nines) == 10**4300 - 1
    assert reader.load(b"-" + nines) == -(10**4300) + 1
    assert isinstance(reader.load(nines + b"9"), UnreadableValue)
    assert isinstance(reader.load(b"-9" + nines), UnreadableValue)


def nesting(value: Any) -> int:
    levels = 0
    while value not in (1, [], {}):
        value = value[0] if isinstance(value, list) else value["a"]
        levels += 1
    return levels


@pytest.mark.parametrize(
    "opening, closing", [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")]
)
def test_endless_nesting_is_cut(opening: bytes, closing: bytes) -> None:
    deep = opening * 50_000 + b"1" + closing * 50_000
    assert KEPT_DEPTH - 1 <= nesting(reader.load(deep)) <= KEPT_DEPTH
    (element,) = reader.elements(b"[%b]" % deep)
    assert len(element) < 1000
    assert json.loads(element)


def test_text_in_what_is_cut_does_not_count() -> None:
    deep = b'["]\\"]",' * 2000 + b"1" + b',"[[{"]' * 2000
    assert reader.load(deep)[0] == ']"]'
