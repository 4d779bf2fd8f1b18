"""The event on the wire."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from headwater_schema.codec import decode_batch, encode_json
from headwater_schema.events import Event

ID = UUID("01993a5e-6a01-7b02-8c03-0d04e05f0601")


def test_defaults_are_not_sent() -> None:
    assert encode_json(Event("order placed", "user-1")) == (
        b'{"event":"order placed","distinct_id":"user-1"}'
    )


def test_every_field_is_sent() -> None:
    at = datetime(2026, 11, 21, 10, tzinfo=UTC)
    event = Event("e", "d", ID, at, {"plan": "pro"}, {"company": "acme"})
    assert encode_json(event) == (
        b'{"event":"e","distinct_id":"d","event_id":"%b",'
        b'"timestamp":"2026-11-21T10:00:00Z","properties":{"plan":"pro"},'
        b'"groups":{"company":"acme"}}' % str(ID).encode()
    )


def test_event_equals_itself_decoded() -> None:
    event = Event("e", "d", ID, 1.5, {"a": [1, None]}, {"company": "acme"})
    (decoded,) = decode_batch(b'{"events":[%b]}' % encode_json(event)).events
    for one, other in ((decoded, event), (event, decoded)):
        assert one == other
        assert not one != other  # noqa: SIM202 - both operators have their own code


@pytest.mark.parametrize(
    "change",
    [
        {"event": "f"},
        {"distinct_id": "c"},
        {"event_id": None},
        {"timestamp": 2},
        {"properties": {}},
        {"groups": {}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_events_that_differ_in_one_field_are_not_equal(change: dict[str, Any]) -> None:
    event = Event("e", "d", ID, 1, {"a": 1}, {"b": "c"})
    changed = msgspec.structs.replace(event, **change)
    assert event != changed
    assert not event == changed  # noqa: SIM201 - both operators have their own code


def test_event_does_not_equal_something_else() -> None:
    assert Event("e", "d") != ("e", "d", None, None, {}, {})


def test_event_cannot_be_changed_nor_hashed() -> None:
    event = Event("e", "d")
    with pytest.raises(AttributeError):
        event.event = "f"  # type: ignore[misc] # that is the point
    with pytest.raises(TypeError, match="unhashable"):
        hash(event)


def test_events_do_not_share_their_default_properties() -> None:
    one, other = Event("e", "d"), Event("e", "d")
    one.properties["plan"] = "pro"
    assert other.properties == {}
