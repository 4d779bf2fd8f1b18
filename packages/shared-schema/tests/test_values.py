"""Every Python value has a wire form or is refused, and refusing costs one property."""

import dataclasses
import enum
import json
import math
import sys
from collections import ChainMap, Counter, OrderedDict, UserDict, UserList, deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest
import uuid_utils
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater_schema import values
from headwater_schema.codec import encode_json, encode_message_pack
from headwater_schema.limits import MAX_DEPTH, MAX_EVENT_BYTES
from headwater_schema.values import (
    RefusedValueError,
    clean_event,
    clean_properties,
    clean_text,
    clean_value,
)

UUID_TEXT = "01993a5e-6a01-7b02-8c03-0d04e05f0601"
OFFSET = timezone(timedelta(hours=5, minutes=30))


class Text(str):
    """A text that says something else than it is."""

    __slots__ = ()

    def __str__(self) -> str:
        raise ValueError("no text")

    def __len__(self) -> int:
        raise ValueError("no length")


class Moment(datetime):
    """A datetime as pandas and pendulum have them."""


class Day(date):
    """A date of an application."""


class Clock(time):
    """A time of an application."""


class Span(timedelta):
    """A timedelta of an application."""


class Price(Decimal):
    """A Decimal of an application."""


class Level(enum.Enum):
    LOW = "low"
    NESTED = (1, UUID(UUID_TEXT))


class Colour(enum.StrEnum):
    RED = "red"


class Size(enum.IntEnum):
    BIG = 3


class Flags(enum.Flag):
    A = 1
    B = 2


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Address:
    city: str
    zip_code: int
    tags: frozenset[str] = frozenset()


class Card(msgspec.Struct, tag="card", tag_field="type", rename="camel"):
    last_digits: str
    holder: str | msgspec.UnsetType = msgspec.UNSET


class Plan(msgspec.Struct):
    name: str


class _Attribute(NamedTuple):
    name: str


class Attrs:
    """As the attrs library makes them."""

    __attrs_attrs__ = (_Attribute("left"), _Attribute("right"))

    def __init__(self, left: object, right: object) -> None:
        self.left = left
        self.right = right


class Stack(Sequence[int]):
    """A list-like of an application."""

    def __init__(self, *items: int) -> None:
        self._items = items

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)


# For each row of the table: values, and what becomes of them.
TABLE: dict[str, list[tuple[Any, Any]]] = {
    "str": [
        ("plain", "plain"),
        ("", ""),
        ("größer 😀", "größer 😀"),
        ("a\0b\0", "ab"),
        ("\ud800", "\ufffd"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ude00", "😀"),
        ("\ud83d\0\ude00", "😀"),
        (Text("a\0b"), "ab"),
    ],
    "bool, None": [(True, True), (False, False), (None, None)],
    "int and its like": [
        (0, 0),
        (-(2**63), -(2**63)),
        (2**64, 2**64),
        (10**4300 - 1, 10**4300 - 1),
        (-(10**4300) + 1, -(10**4300) + 1),
    ],
    "float and its like": [
        (1.5, 1.5),
        (-0.0, -0.0),
        (sys.float_info.max, sys.float_info.max),
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
        (Fraction(1, 4), 0.25),
    ],
    "Decimal, UUID": [
        (Decimal("1.50"), "1.50"),
        (Decimal("NaN"), "NaN"),
        (Price("2.0"), "2.0"),
        (UUID(UUID_TEXT), UUID_TEXT),
        (uuid_utils.UUID(UUID_TEXT), UUID_TEXT),
    ],
    "datetime, date, time": [
        (datetime(2026, 11, 21, 10, tzinfo=UTC), "2026-11-21T10:00:00Z"),
        (datetime(2026, 11, 21, 10, tzinfo=OFFSET), "2026-11-21T10:00:00+05:30"),
        (datetime(2026, 11, 21, 10), "2026-11-21T10:00:00"),  # noqa: DTZ001
        (Moment(2026, 1, 2, 3, 4, 5, 6, OFFSET), "2026-01-02T03:04:05.000006+05:30"),
        (date(2026, 11, 21), "2026-11-21"),
        (Day(2026, 11, 21), "2026-11-21"),
        (time(10, 30), "10:30:00"),
        (Clock(10, 30, tzinfo=UTC), "10:30:00Z"),
    ],
    "timedelta": [
        (timedelta(days=1, seconds=2), "P1DT2S"),
        (timedelta(microseconds=-1), "-PT0.000001S"),
        (Span(hours=1), "PT3600S"),
    ],
    "bytes, bytearray, memoryview": [
        (b"abc", "YWJj"),
        (bytearray(b"abc"), "YWJj"),
        (memoryview(b"aXbXcX")[::2], "YWJj"),
        (b"", ""),
    ],
    "Enum": [
        (Level.LOW, "low"),
        (Level.NESTED, [1, UUID_TEXT]),
        (Colour.RED, "red"),
        (Size.BIG, 3),
        (Flags.A | Flags.B, 3),
    ],
    "list, tuple, set, deque and their like": [
        ([1, [2.5, None]], [1, [2.5, None]]),
        ((), []),
        (Point(1, 2), [1, 2]),
        ({"one"}, ["one"]),
        (frozenset({1}), [1]),
        (deque([b"a", "b"]), ["YQ==", "b"]),
        (range(3), [0, 1, 2]),
        (UserList([1]), [1]),
        (Stack(1, 2), [1, 2]),
        ({"a": 1}.keys(), ["a"]),
    ],
    "dict and its like, dataclass, Struct, attrs": [
        ({"a": {"b": math.nan}}, {"a": {"b": None}}),
        (OrderedDict(a=1), {"a": 1}),
        (UserDict({"a": 1}), {"a": 1}),
        (Counter("aa"), {"a": 2}),
        (ChainMap({"a": 1}), {"a": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (Address("Zürich", 8001), {"city": "Zürich", "zip_code": 8001, "tags": []}),
        (Card("4242", "A"), {"type": "card", "lastDigits": "4242", "holder": "A"}),
        (Card("4242"), {"type": "card", "lastDigits": "4242"}),
        (Plan("pro"), {"name": "pro"}),
        (Attrs(1, b"a"), {"left": 1, "right": "YQ=="}),
    ],
    "the key of an object": [
        ({"a\0b": 1}, {"ab": 1}),
        ({1: 1, 2.5: 2}, {"1": 1, "2.5": 2}),
        ({True: 3}, {"true": 3}),
        ({None: 1, math.inf: 2, False: 3}, {"null": 2, "false": 3}),
        ({Level.LOW: 1, Colour.RED: 2, Size.BIG: 3}, {"low": 1, "red": 2, "3": 3}),
        ({UUID(UUID_TEXT): 1}, {UUID_TEXT: 1}),
        ({date(2026, 11, 21): 1}, {"2026-11-21": 1}),
        ({Decimal("1.0"): 1, b"a": 2}, {"1.0": 1, "YQ==": 2}),
    ],
}
REFUSED: dict[str, list[tuple[Any, str]]] = {
    "int and its like": [
        (10**4300, "more than 4300 digits"),
        (-(10**4300), "more than 4300 digits"),
    ],
    "anything else": [
        (object(), "type object has no wire form"),
        (1j, "type complex has no wire form"),
        (int, "type type has no wire form"),
        (Address, "type type has no wire form"),
        (len, "has no wire form"),
        (iter([1]), "has no wire form"),
        ((each for each in [1]), "type generator has no wire form"),
        (SimpleNamespace(a=1), "type SimpleNamespace has no wire form"),
        ([1, {"a": object()}], "type object has no wire form"),
        ({(1, 2): 3}, "cannot be a key"),
        ({frozenset(): 3}, "cannot be a key"),
        ({object(): 3}, "type object has no wire form"),
    ],
    "lists and objects in each other, deeper than 32 levels": [],
    "what no event could hold": [
        (range(10**12), "larger than an event"),
        ("x" * (2 * MAX_EVENT_BYTES), "larger than an event"),
        (b"x" * (2 * MAX_EVENT_BYTES), "larger than an event"),
        (["x" * MAX_EVENT_BYTES] * 3, "larger than an event"),
        ({"x" * MAX_EVENT_BYTES: 1, "y" * MAX_EVENT_BYTES: 2}, "larger than an event"),
    ],
}


def nest(levels: int, kind: type) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value] if kind is list else {"a": value}
    return value


@pytest.mark.parametrize("row", TABLE)
def test_value_has_the_wire_form_of_the_table(row: str) -> None:
    for value, form in TABLE[row]:
        clean = clean_value(value)
        assert clean == form
        assert type(clean) is type(form)


@pytest.mark.parametrize("row", REFUSED)
def test_value_is_refused_as_the_table_says(row: str) -> None:
    for value, why in REFUSED[row]:
        with pytest.raises(RefusedValueError, match=why):
            clean_value(value)


def test_every_row_of_the_table_is_tested() -> None:
    lines = [line for line in (values.__doc__ or "").splitlines() if line[:2] == "| "]
    rows = {line.split(" | ")[0].removeprefix("| ") for line in lines[2:]}
    assert rows == {*TABLE, *REFUSED}


@pytest.mark.parametrize("kind", [list, dict])
def test_nesting_is_allowed_down_to_32_levels(kind: type) -> None:
    assert clean_value(nest(MAX_DEPTH, kind)) == nest(MAX_DEPTH, kind)
    with pytest.raises(RefusedValueError, match="nested deeper than 32 levels"):
        clean_value(nest(MAX_DEPTH + 1, kind))


def test_nesting_of_objects_with_fields_is_bounded_too() -> None:
    value: object = 1
    for _ in range(MAX_DEPTH + 1):
        value = Attrs(value, None)
    with pytest.raises(RefusedValueError, match="nested deeper"):
        clean_value(value)


def test_value_that_holds_itself_is_refused() -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    loop: dict[str, object] = {}
    loop["self"] = loop
    for value in (cycle, loop):
        with pytest.raises(RefusedValueError, match="nested deeper"):
            clean_value(value)


def test_integer_longer_than_the_interpreter_allows_is_refused() -> None:
    before = sys.get_int_max_str_digits()
    number = 10**1000
    sys.set_int_max_str_digits(640)
    try:
        with pytest.raises(RefusedValueError, match="reading it raised"):
            clean_value(number)
    finally:
        sys.set_int_max_str_digits(before)


def test_text_that_is_clean_is_not_copied() -> None:
    text = "größer" * 10
    assert clean_text(text) is text


@given(st.text(alphabet=st.characters(codec=None)))
def test_clean_text_can_be_stored_and_is_clean_already(text: str) -> None:
    clean = clean_text(text)
    assert "\0" not in clean
    assert clean.encode().decode() == clean
    assert clean_text(clean) == clean
    if "\0" not in text and text.isascii():
        assert clean == text


class BrokenZone(tzinfo):
    """A time zone that fails."""

    def utcoffset(self, _time: datetime | None) -> timedelta | None:
        raise LookupError("no such zone")

    dst = utcoffset

    def tzname(self, _time: datetime | None) -> str | None:
        return None


def raise_it(*_args: object) -> Any:
    raise RuntimeError("boom")


def make_evil(**methods: Any) -> Any:
    """Makes an object whose methods fail."""
    return type("Evil", (), methods)()


class EvilMeta(type):
    """A class that does not say its name."""

    __name__ = property(raise_it)
    __hash__ = raise_it


class EvilError(Exception):
    """An error that cannot be told."""

    __repr__ = raise_it
    __str__ = raise_it


class EvilMapping(Mapping[Any, Any]):
    """A mapping that fails with an error that cannot be told."""

    def __getitem__(self, key: object) -> object:
        raise EvilError

    def __iter__(self) -> Iterator[Any]:
        yield "a"
        raise EvilError

    def __len__(self) -> int:
        return 1


class EndlessMapping(Mapping[Any, Any]):
    """A mapping that never ends, and claims to be small."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __getitem__(self, key: object) -> object:
        return self._value

    def __iter__(self) -> Iterator[Any]:
        number = 0
        while True:
            number += 1
            yield number

    def __len__(self) -> int:
        return 3


class EndlessList(Sequence[int]):
    """A list that never ends, and claims to be small."""

    def __getitem__(self, index: Any) -> Any:
        return 1

    def __len__(self) -> int:
        return 3


class SelfEnum(enum.Enum):
    """A member that is its own value."""

    A = 1

    @property
    def value(self) -> Any:
        return self


EVIL: list[tuple[str, Any]] = [
    ("text of no class", type("Odd", (str,), {"__class__": property(raise_it)})("a\0")),
    ("class", make_evil(__class__=property(raise_it))),
    ("metaclass", EvilMeta("Odd", (), {})()),
    ("int", type("Odd", (int,), {"__int__": raise_it})(3)),
    ("float", type("Odd", (float,), {"__float__": raise_it})(3)),
    ("decimal", type("Odd", (Decimal,), {"__str__": raise_it})(3)),
    ("list", type("Odd", (list,), {"__iter__": raise_it})([1])),
    ("length", type("Odd", (list,), {"__len__": raise_it})([1])),
    ("negative length", type("Odd", (list,), {"__len__": lambda _: -1})([1])),
    ("dict", type("Odd", (dict,), {"items": raise_it})(a=1)),
    ("mapping", EvilMapping()),
    ("no pairs", type("Odd", (dict,), {"items": lambda _: [1, 2]})(a=1, b=2)),
    ("zone", datetime(2026, 1, 1, tzinfo=BrokenZone())),
    ("released memory", memoryview(b"abc")),
    ("attrs", make_evil(__attrs_attrs__=(_Attribute("missing"),))),
    ("attrs of no list", make_evil(__attrs_attrs__=3)),
    ("enum", SelfEnum.A),
    ("fraction", Fraction(10**400)),
]
EVIL[-5][1].release()


@pytest.mark.parametrize("value", [pytest.param(v, id=name) for name, v in EVIL])
def test_evil_value_costs_one_property_at_most(value: object) -> None:
    clean, refused = clean_properties({"bad": value, "good": 1})
    assert clean["good"] == 1
    assert {*clean, *refused} == {"bad", "good"}
    encode_json(clean)


@pytest.mark.parametrize("value", [pytest.param(v, id=name) for name, v in EVIL])
def test_evil_value_raises_nothing_but_its_refusal(value: object) -> None:
    try:
        encode_json(clean_value(value))
    except RefusedValueError as error:
        assert str(error)  # noqa: PT017 - whether it is refused is not the claim


@pytest.mark.parametrize(
    "key, name",
    [
        (10**5000, "<int>"),
        ((1, 2), "<tuple>"),
        (EvilMeta("Odd", (), {"__hash__": lambda _: 1})(), "<Odd>"),
        (type("Bad", (), {"__str__": raise_it, "__repr__": raise_it})(), "<Bad>"),
    ],
    ids=["long", "tuple", "metaclass", "text"],
)
def test_key_that_is_no_text_costs_its_property(key: object, name: str) -> None:
    clean, refused = clean_properties({key: 1, "good": 2})
    assert clean == {"good": 2}
    assert list(refused) == [name]


def test_refusal_tells_what_was_raised_in_few_words() -> None:
    loud = type("Odd", (list,), {"__iter__": lambda _: raise_it_loudly()})([1])
    _, refused = clean_properties({"a": loud, "b": EVIL[1][1]})
    assert refused["a"].startswith("reading it raised ValueError('xxx")
    assert len(refused["a"]) < 250
    assert refused["b"] == "reading it raised RuntimeError('boom')"


def raise_it_loudly() -> Any:
    raise ValueError("x" * 10_000)


def test_error_that_cannot_be_told_is_named() -> None:
    clean, refused = clean_properties({"a": EvilMapping()})
    assert clean == {}
    assert refused == {"a": "reading it raised EvilError"}


@pytest.mark.parametrize("properties", [None, 3, "text", [("a", 1)], object()])
def test_properties_that_are_no_mapping_are_refused(properties: Any) -> None:
    clean, refused = clean_properties(properties)
    assert clean == {}
    assert list(refused) == ["*"]


def test_mapping_that_breaks_keeps_what_was_read() -> None:
    class Breaking(dict[str, int]):
        def items(self) -> Any:
            yield "a", 1
            raise EvilError

    assert clean_properties(Breaking()) == (
        {"a": 1},
        {"*": "reading it raised EvilError"},
    )


@pytest.mark.parametrize("value", [1, "x" * 1000, object(), list(range(1000))])
def test_endless_properties_come_to_an_end(value: object) -> None:
    clean, refused = clean_properties(EndlessMapping(value))
    assert refused["*"] == "more properties than an event may have"
    assert len(clean) + len(refused) < MAX_EVENT_BYTES // 2
    assert len(encode_json(clean)) < 8 * MAX_EVENT_BYTES


def test_collection_is_read_no_further_than_it_claims_to_be() -> None:
    assert clean_value(EndlessList()) == [1, 1, 1]
    assert clean_value(EndlessMapping(0)) == {"1": 0, "2": 0, "3": 0}


def test_small_values_that_are_huge_written_out_are_refused() -> None:
    value: list[object] = [0] * 10
    for _ in range(30):
        value = [value] * 10
    clean, refused = clean_properties({"huge": value, "good": 1})
    assert clean == {"good": 1}
    assert refused == {"huge": "larger than an event may be"}


def test_property_after_many_huge_ones_is_not_looked_at() -> None:
    huge: list[object] = [0] * 10
    for _ in range(30):
        huge = [huge] * 10
    clean, refused = clean_properties({**{str(i): huge for i in range(9)}, "late": 1})
    assert clean == {}
    assert "*" in refused


def test_property_of_many_small_items_fits() -> None:
    items = [0] * (MAX_EVENT_BYTES // 2)
    assert clean_properties({"items": items}) == ({"items": items}, {})


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**4000, 2**64, -(2**63) - 1]),
    st.floats(),
    st.text(alphabet=st.characters(codec=None)),
    st.binary(),
    st.decimals(),
    st.uuids(),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.datetimes(timezones=st.sampled_from([None, UTC, OFFSET])),
    st.fractions(),
    st.sampled_from([*Level, *Colour, *Size]),
    st.builds(object),
    st.complex_numbers(),
)
keys = st.one_of(
    st.text(alphabet=st.characters(codec=None)),
    st.integers(),
    st.floats(),
    st.none(),
    st.booleans(),
    st.uuids(),
    st.tuples(st.integers()),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner),
        st.lists(inner, max_size=4).map(deque),
        st.dictionaries(keys, inner, max_size=3),
        st.dictionaries(keys, inner, max_size=3).map(UserDict),
        st.builds(Address, inner, inner),
        st.builds(Attrs, inner, inner),
        st.builds(Card, inner, inner),
    ),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.dictionaries(keys, anything, max_size=4))
def test_clean_properties_can_be_sent_and_are_clean_already(
    properties: dict[Any, Any],
) -> None:
    clean, refused = clean_properties(properties)
    assert len(clean) + len(refused) <= len(properties)
    assert json.loads(encode_json(clean)) == clean
    assert msgspec.msgpack.decode(encode_message_pack(clean)).keys() == clean.keys()
    assert clean_properties(clean) == (clean, {})


@settings(deadline=None)
@given(anything)
def test_clean_value_is_its_own_wire_form(value: object) -> None:
    try:
        clean = clean_value(value)
    except RefusedValueError:
        return
    assert clean_value(clean) == clean
    assert b"\\u0000" not in encode_json(clean).replace(b"\\\\", b"")
    encode_message_pack(clean)


def test_event_keeps_its_id_and_its_time() -> None:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    tree = {"event_id": b"0123456789abcdef", "timestamp": at, "event": "a\0", 5: b"x"}
    clean, refused = clean_event(tree)
    assert clean == {
        "event_id": b"0123456789abcdef",
        "timestamp": at,
        "event": "a",
        "5": "eA==",
    }
    assert refused == {}


@pytest.mark.parametrize("timestamp", [math.nan, math.inf, -math.inf])
def test_event_at_no_time_has_none(timestamp: float) -> None:
    assert clean_event({"timestamp": timestamp}) == ({"timestamp": None}, {})


def test_event_loses_only_the_properties_that_have_no_form() -> None:
    tree = {"properties": {"good": b"a", "bad": object()}, "other": object()}
    clean, refused = clean_event(tree)
    assert clean == {"properties": {"good": "YQ=="}}
    assert list(refused) == ["bad"]


def test_event_keeps_properties_that_are_none() -> None:
    assert clean_event({"properties": [1]}) == ({"properties": [1]}, {})
