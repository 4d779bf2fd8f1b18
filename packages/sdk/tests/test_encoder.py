"""Whatever the application puts into an event becomes what the schema reads."""

import dataclasses
import math
import time
from collections import OrderedDict, UserDict, deque
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater import InvalidEventError
from headwater._encoder import encode_event
from headwater_schema.codec import decode_batch
from headwater_schema.events import Event
from headwater_schema.limits import MAX_DEPTH
from headwater_schema.values import clean_properties

LAST_INSTANT = datetime.max.replace(tzinfo=timezone(-timedelta(hours=12)))
NOW_MS = 1_700_000_000_000


def encode(
    event: Any = "e", distinct_id: Any = "d", properties: Any = None, **options: Any
) -> tuple[str, bytes, dict[str, str]]:
    parts = {"groups": None, "timestamp": None, "event_id": None, **options}
    return encode_event(event, distinct_id, properties, now_ms=NOW_MS, **parts)


def decode(payload: bytes) -> Event:
    """Reads the event as the service does."""
    decoded = decode_batch(b'{"events":[%b]}' % payload)
    assert not decoded.refused
    return decoded.events[0]


def wire(properties: Any, **options: Any) -> dict[str, Any]:
    _id, payload, refused = encode(properties=properties, **options)
    assert refused == {}
    return decode(payload).properties


class Plan(Enum):
    PRO = "pro"


class Level(IntEnum):
    HIGH = 3


class Name(StrEnum):
    SIGNED_UP = "signed up"


class Loud(str, Enum):  # noqa: UP042 - the older form, whose str() is not its value
    SIGNED_UP = "signed up"


@dataclasses.dataclass
class Item:
    sku: str
    price: Decimal


class Box(msgspec.Struct):
    size: int


class Trap:
    """Raises whatever is done with it."""

    def __getattribute__(self, name: str) -> Any:
        raise ZeroDivisionError


def test_fields_arrive_as_they_were_given() -> None:
    event_id, payload, refused = encode("bought", "user-1", {"a": 1}, groups={"g": "k"})
    assert refused == {}
    event = decode(payload)
    assert event == Event(
        event="bought",
        distinct_id="user-1",
        event_id=UUID(event_id),
        timestamp=NOW_MS,
        properties={"a": 1},
        groups={"g": "k"},
    )


def test_event_ids_are_uuids_of_version_seven_in_order() -> None:
    ids = [encode()[0] for _ in range(50)]
    assert ids == sorted(set(ids))
    assert {UUID(event_id).version for event_id in ids} == {7}


@pytest.mark.parametrize(
    "value, form",
    [
        ("text", "text"),
        (True, True),
        (None, None),
        (10**30, 10**30),
        (1.5, 1.5),
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
        (Decimal("1.10"), "1.10"),
        (UUID(int=1), str(UUID(int=1))),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        (date(2026, 1, 2), "2026-01-02"),
        (timedelta(seconds=90), "PT90S"),
        (b"bytes", "Ynl0ZXM="),
        (Plan.PRO, "pro"),
        (Level.HIGH, 3),
        (Name.SIGNED_UP, "signed up"),
        ({1}, [1]),
        ((1, 2), [1, 2]),
        (frozenset([1]), [1]),
        (deque([1, 2]), [1, 2]),
        (OrderedDict(a=1), {"a": 1}),
        (UserDict(a=1), {"a": 1}),
        ({1: "a"}, {"1": "a"}),
        ({None: "a"}, {"null": "a"}),
        (Item("a", Decimal(2)), {"sku": "a", "price": "2"}),
        (Box(3), {"size": 3}),
        ("nul\0", "nul"),
        ("\\u0000", "\\u0000"),
        ("half \ud83d", "half \ufffd"),
        ({"deep": ["\0"]}, {"deep": [""]}),
    ],
    ids=repr,
)
def test_value_has_its_wire_form(value: object, form: object) -> None:
    assert wire({"key": value}) == {"key": form}


@pytest.mark.parametrize("value", [object(), lambda: None, {(1, 2): 3}, Item])
def test_value_without_wire_form_costs_that_property_only(value: object) -> None:
    _id, payload, refused = encode(properties={"a": 1, "bad": value, "z": {1}})
    assert decode(payload).properties == {"a": 1, "z": [1]}
    assert list(refused) == ["bad"]


def test_value_that_raises_when_read_costs_that_property_only() -> None:
    _id, payload, refused = encode(properties={"a": 1, "trap": Trap()})
    assert decode(payload).properties == {"a": 1}
    assert list(refused) == ["trap"]


def test_list_that_contains_itself_costs_that_property_only() -> None:
    endless: list[object] = []
    endless.append(endless)
    _id, payload, refused = encode(properties={"a": 1, "endless": endless})
    assert decode(payload).properties == {"a": 1}
    assert list(refused) == ["endless"]


def test_bad_value_inside_stated_properties_costs_that_one_only() -> None:
    properties = {"$set": {"a": 1, "bad": object()}, "$set_once": {"b": {2}}, "c": "\0"}
    _id, payload, refused = encode("$identify", "d", properties)
    assert decode(payload).properties == {
        "$set": {"a": 1},
        "$set_once": {"b": [2]},
        "c": "",
    }
    assert list(refused) == ["$set.bad"]


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        ),
    )
)
def test_fast_way_and_slow_way_agree(properties: dict[str, Any]) -> None:
    clean, refused = clean_properties(properties)
    assert refused == {}
    assert wire(properties) == clean


def test_mapping_need_not_be_a_dict() -> None:
    class Lazy(Mapping[str, int]):
        def __getitem__(self, key: str) -> int:
            return {"a": 1}[key]

        def __iter__(self) -> Iterator[str]:
            return iter(["a"])

        def __len__(self) -> int:
            return 1

    assert wire(Lazy()) == {"a": 1}
    assert wire(UserDict(a=1)) == {"a": 1}


@pytest.mark.parametrize("name", [Name.SIGNED_UP, Loud.SIGNED_UP, "signed\0 up"])
def test_name_may_be_an_enum_and_is_cleaned(name: str) -> None:
    assert decode(encode(name)[1]).event == "signed up"


@pytest.mark.parametrize(
    "distinct_id, text",
    [
        (17, "17"),
        (UUID(int=1), str(UUID(int=1))),
        ("half \ud83d", "half \ufffd"),
        ("a\0", "a"),
        ("x" * 512, "x" * 512),
    ],
)
def test_ids_of_people_become_text(distinct_id: object, text: str) -> None:
    assert decode(encode(distinct_id=distinct_id)[1]).distinct_id == text


@pytest.mark.parametrize(
    "parts, said",
    [
        ({"event": ""}, "event has 0 characters"),
        ({"event": "x" * 201}, "event has 201 characters"),
        ({"event": None}, "event must be text"),
        ({"event": "\0"}, "event has 0 characters"),
        ({"distinct_id": ""}, "distinct_id has 0 characters"),
        ({"distinct_id": "x" * 513}, "distinct_id has 513"),
        ({"distinct_id": None}, "there is no distinct_id"),
        ({"distinct_id": True}, "distinct_id must be text, not bool"),
        ({"distinct_id": 1.5}, "distinct_id must be text"),
        ({"properties": [1]}, "properties must be a mapping, not list"),
        ({"event": "$identify", "properties": {"$set": 1}}, r"\$set must be a map"),
        ({"event": "$create_alias", "properties": {"alias": ""}}, "alias has 0"),
        ({"event": "$groupidentify", "properties": {"$group_type": 1}}, "group_type"),
        ({"groups": ["g"]}, "groups must be a mapping"),
        ({"timestamp": 1_700_000_000}, "timestamp must be a datetime, not int"),
        ({"timestamp": date(2026, 1, 1)}, "timestamp must be a datetime, not date"),
        ({"timestamp": LAST_INSTANT}, "out of range"),
        ({"event_id": "17"}, "event_id must be a UUID"),
    ],
)
def test_event_with_a_wrong_field_is_refused(parts: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidEventError, match=said):
        encode(**parts)


def test_time_with_offset_is_kept_to_the_millisecond() -> None:
    zone = timezone(timedelta(hours=2))
    time_ = datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=zone)
    assert decode(encode(timestamp=time_)[1]).timestamp == 1_767_315_845_678


def test_time_without_offset_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        naive = datetime(2026, 7, 1, 12)  # noqa: DTZ001 - that is the point
        assert decode(encode(timestamp=naive)[1]).timestamp == 1_782_921_600_000
    finally:
        monkeypatch.undo()
        time.tzset()


def test_event_id_of_the_application_is_used_in_canonical_form() -> None:
    event_id = UUID("0190a5b4-7c31-7d31-8f2e-111111111111")
    assert encode(event_id=event_id)[0] == str(event_id)
    assert encode(event_id=event_id.hex.upper())[0] == str(event_id)


def test_groups_take_keys_of_databases_and_lose_only_bad_ones() -> None:
    groups = {"company": 7, "team": UUID(int=1), "": "x", "empty": "", "bad": None}
    _id, payload, refused = encode(groups=groups)
    assert decode(payload).groups == {"company": "7", "team": str(UUID(int=1))}
    assert list(refused) == ["groups.", "groups.empty", "groups.bad"]


def nested(levels: int, inside: object = 1) -> Any:
    for level in range(levels):
        inside = [inside] if level % 2 else {"a": inside}
    return inside


def test_properties_may_be_nested_as_deep_as_the_schema_says() -> None:
    deep = nested(MAX_DEPTH)
    assert wire({"deep": deep, "b": 1}) == {"deep": deep, "b": 1}


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, MAX_DEPTH + 2, 200, 100_000])
def test_deeper_property_is_refused_and_costs_no_other(levels: int) -> None:
    _id, payload, refused = encode(properties={"deep": nested(levels), "b": 1})
    assert decode(payload).properties == {"b": 1}
    assert list(refused) == ["deep"]
    assert "nested deeper" in refused["deep"]


@pytest.mark.parametrize("name", ["$set", "$set_once", "$add", "$append"])
def test_stated_properties_are_as_deep_as_the_service_takes_them(name: str) -> None:
    stated = {name: {"deep": nested(MAX_DEPTH - 1), "deeper": nested(MAX_DEPTH)}}
    _id, payload, refused = encode("$set", properties=stated)
    assert list(refused) == [f"{name}.deeper"]
    found = decode(payload).properties
    assert clean_properties(found) == (found, {})
    assert list(found[name]) == ["deep"]


@pytest.mark.parametrize(
    "value",
    [
        "[{" * 100,
        "]" * 100,
        ["[", "{", "}", "]"] * 20,
        [[number] for number in range(100)],
        [{"a": [number]} for number in range(100)],
        {str(number): {} for number in range(100)},
    ],
)
def test_many_brackets_are_not_taken_for_depth(value: object) -> None:
    assert wire({"value": value}) == {"value": value}


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.text('[]{}"\\a', max_size=60) | st.integers(),
        lambda inner: st.lists(inner, max_size=40) | st.just(nested(33)),
        max_leaves=30,
    )
)
def test_depth_is_judged_as_the_schema_does(value: Any) -> None:
    _id, payload, refused = encode(properties={"value": value})
    assert (decode(payload).properties, refused) == clean_properties({"value": value})
