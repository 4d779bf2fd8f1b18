"""Typed events: their names, what they carry, what they refuse, their schema."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from decimal import Decimal
from types import ModuleType
from typing import Annotated
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater._encoder import encode_event
from headwater._errors import InvalidEventError
from headwater._typed import Event, EventMeta
from headwater._typed_port import TypedEvent
from headwater._typed_schema import events_of, export_schema, load_events


class Line(msgspec.Struct):
    sku: str
    count: int = 1


class OrderCompleted(Event):
    amount: Decimal
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
    lines: tuple[Line, ...] = ()
    coupon: str | None = None


class Visited(Event, event="page_visited"):
    url: str = msgspec.field(name="$current_url")
    seconds: float | msgspec.UnsetType = msgspec.UNSET


def test_carries_its_name_and_its_fields() -> None:
    event: TypedEvent = OrderCompleted(Decimal("49.99"), "EUR", (Line("A-1"),))
    assert event.__headwater_event__() == (
        "Order Completed",
        {
            "amount": Decimal("49.99"),
            "currency": "EUR",
            "lines": (Line("A-1"),),
            "coupon": None,
        },
    )


def test_name_can_be_given_and_fields_renamed() -> None:
    assert Visited("https://a.example/").__headwater_event__() == (
        "page_visited",
        {"$current_url": "https://a.example/"},
    )


@pytest.mark.parametrize(
    "class_name, name",
    [
        ("OrderCompleted", "Order Completed"),
        ("Bought", "Bought"),
        ("HTTPRequestFailed", "HTTP Request Failed"),
        ("Order_Paid", "Order Paid"),
        ("Top10Reached", "Top10 Reached"),
        ("ÜberBestellt", "Über Bestellt"),
        ("signed_up", "signed up"),
    ],
)
def test_name_is_that_of_the_class_in_words(class_name: str, name: str) -> None:
    assert EventMeta(class_name, (Event,), {}).__event_name__ == name


@pytest.mark.parametrize("name", ["", "x" * 201, "$identify"])
def test_class_with_a_name_that_no_event_may_have_cannot_be_made(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        EventMeta("Wrong", (Event,), {}, event=name)


@pytest.mark.parametrize(
    "event, said",
    [
        (OrderCompleted("many", "EUR"), "Order Completed.*amount"),  # type: ignore[arg-type] # on purpose
        (OrderCompleted(Decimal(1), "euro"), r"regex.*\$\.currency"),
        (OrderCompleted(Decimal(1), None), "got `null`"),  # type: ignore[arg-type] # on purpose
        (OrderCompleted(Decimal(1), "EUR", (object(),)), "object"),  # type: ignore[arg-type] # on purpose
    ],
)
def test_value_that_does_not_fit_is_refused_when_it_is_captured(
    event: Event, said: str
) -> None:
    with pytest.raises(InvalidEventError, match=said):
        event.__headwater_event__()


class Anything(Event):
    number: int
    text: str
    at: datetime
    who: UUID
    tags: set[str]
    ratio: float


@given(
    st.builds(
        Anything,
        number=st.integers(-(2**63), 2**63 - 1),
        text=st.text(),
        at=st.datetimes(timezones=st.just(UTC)),
        who=st.uuids(),
        tags=st.sets(st.text()),
        ratio=st.floats(allow_nan=False, allow_infinity=False),
    )
)
def test_event_that_fits_is_taken_as_it_is(event: Anything) -> None:
    name, properties = event.__headwater_event__()
    assert name == "Anything"
    assert properties == msgspec.structs.asdict(event)


def shop() -> ModuleType:
    module = ModuleType("shop")
    vars(module).update(OrderCompleted=OrderCompleted, Visited=Visited, Event=Event)
    return module


def test_schema_fits_events_as_they_are_sent() -> None:
    schema = export_schema([OrderCompleted], "shop")
    assert schema["oneOf"] == [
        {
            "type": "object",
            "title": "Order Completed",
            "properties": {
                "event": {"const": "Order Completed"},
                "properties": {"$ref": "#/$defs/OrderCompleted"},
            },
            "required": ["event", "properties"],
        }
    ]
    described = schema["$defs"]["OrderCompleted"]
    assert described["required"] == ["amount", "currency"]
    assert described["properties"]["currency"]["pattern"] == "^[A-Z]{3}$"
    assert schema["$defs"]["Line"]["properties"]["count"]["default"] == 1


def test_events_of_a_module_are_found_without_their_bases(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Base(Event):
        plan: str

    class Upgraded(Base):
        pass

    module = shop()
    vars(module).update(Base=Base, Upgraded=Upgraded, unrelated=7)
    monkeypatch.setitem(sys.modules, "shop", module)
    assert load_events("shop") == [OrderCompleted, Upgraded, Visited]
    assert events_of(ModuleType("empty")) == []


def test_wire_form_is_that_of_the_schema() -> None:
    name, properties = OrderCompleted(Decimal("1.50"), "EUR").__headwater_event__()
    _, payload, refused = encode_event(
        name,
        "user-1",
        properties,
        groups=None,
        timestamp=None,
        event_id=None,
        now_ms=0,
    )
    assert not refused
    sent = msgspec.json.decode(payload)
    received = msgspec.convert(sent["properties"], OrderCompleted, strict=True)
    assert received.amount == Decimal("1.50")
