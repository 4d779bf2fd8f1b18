"""What an event is made of: its own parts, the context's, and what hooks make of it."""

from __future__ import annotations

import asyncio
import threading
from contextvars import copy_context
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from headwater import (
    BeforeSendError,
    CapturedEvent,
    Client,
    InvalidEventError,
    LossReason,
    Stats,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from packages.sdk.tests.conftest import (
        ClientMaker,
        Complaints,
        MemoryTransport,
    )

    from headwater_schema.events import Event


class Bought:
    """A typed event as the seam has it."""

    def __init__(self, amount: float) -> None:
        self.amount = amount

    def __headwater_event__(self) -> tuple[str, Mapping[str, object]]:
        if self.amount < 0:
            raise InvalidEventError("amount is negative")
        return "bought", {"amount": self.amount}


def sent(client: Client, transport: MemoryTransport) -> list[Event]:
    client.flush()
    return [event for batch in transport.received.batches for event in batch.events]


def test_distinct_id_may_be_left_to_the_context(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    client = make_client()
    with client.context(distinct_id="user-1"):
        client.capture("alone")
        client.capture("with properties", {"a": 1})
        client.capture("with none", None)
        client.capture(None, "explicitly", {"a": 2})
        client.capture("user-2", "of somebody else")
    events = sent(client, transport)
    assert [(event.distinct_id, event.event, event.properties) for event in events] == [
        ("user-1", "alone", {}),
        ("user-1", "with properties", {"a": 1}),
        ("user-1", "with none", {}),
        ("user-1", "explicitly", {"a": 2}),
        ("user-2", "of somebody else", {}),
    ]


def test_event_of_nobody_is_refused_and_says_what_to_do(
    make_client: ClientMaker, complaints: Complaints
) -> None:
    assert make_client().capture("bought", {"a": 1}) is None
    assert "capture in a context" in str(complaints.errors[0])


@pytest.mark.parametrize("parts", [("d", 17), ("d", ["e"], {}), ("d", 1, 2), (b"d",)])
def test_parts_that_are_no_event_are_refused(
    make_client: ClientMaker, complaints: Complaints, parts: Any
) -> None:
    client = make_client()
    with client.context(distinct_id="user-1"):
        assert client.capture(*parts) is None
    assert complaints.kinds == ["InvalidEventError"]


def test_typed_event_brings_name_and_properties(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    client = make_client()
    client.capture("user-1", Bought(5))
    client.capture("user-1", Bought(5), {"shop": "a"})
    with client.context(distinct_id="user-2"):
        client.capture(Bought(7), groups={"company": "acme"})
    events = sent(client, transport)
    assert [(event.event, event.distinct_id, event.properties) for event in events] == [
        ("bought", "user-1", {"amount": 5}),
        ("bought", "user-1", {"amount": 5, "shop": "a"}),
        ("bought", "user-2", {"amount": 7}),
    ]
    assert events[2].groups == {"company": "acme"}


def test_typed_event_that_breaks_its_rules_is_counted(
    make_client: ClientMaker, complaints: Complaints
) -> None:
    client = make_client()
    assert client.capture("user-1", Bought(-1)) is None
    assert client.stats().lost == {LossReason.INVALID_EVENT: 1}
    assert str(complaints.errors[0]) == "amount is negative"


def test_strict_client_raises_what_others_count(
    make_client: ClientMaker, complaints: Complaints
) -> None:
    client = make_client(strict=True)
    with pytest.raises(InvalidEventError, match="amount is negative"):
        client.capture("user-1", Bought(-1))
    with pytest.raises(InvalidEventError, match="event has 0 characters"):
        client.capture("user-1", "")
    with pytest.raises(InvalidEventError, match="distinct_id"):
        client.identify("")
    assert client.stats().lost == {LossReason.INVALID_EVENT: 3}
    assert len(complaints.errors) == 3


def test_context_adds_what_the_event_does_not_say_itself(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    client = make_client(super_properties={"app": "shop", "host": "a"})
    client.capture("d", "outside")
    with client.context({"$ip": "10.0.0.1"}, host="b", groups={"company": "acme"}):
        client.capture("d", "outer", {"host": "c"})
        with client.context(distinct_id="x", request=7, groups={"team": "t"}):
            client.capture("inner", groups={"team": "own"})
        client.capture("d", "outer again")
    client.capture("d", "outside again")
    ip = {"$ip": "10.0.0.1"}
    events = sent(client, transport)
    assert [(event.properties, event.groups) for event in events] == [
        ({"app": "shop", "host": "a"}, {}),
        ({"app": "shop", "host": "c", **ip}, {"company": "acme"}),
        (
            {"app": "shop", "host": "b", "request": 7, **ip},
            {"company": "acme", "team": "own"},
        ),
        ({"app": "shop", "host": "b", **ip}, {"company": "acme"}),
        ({"app": "shop", "host": "a"}, {}),
    ]


def test_context_ends_with_its_block_even_by_an_exception(
    make_client: ClientMaker,
) -> None:
    client = make_client()
    with pytest.raises(ZeroDivisionError), client.context(distinct_id="d"):
        raise ZeroDivisionError
    assert client.capture("of nobody") is None


def test_context_that_is_left_in_another_one_goes_in_silence(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    client = make_client()

    def work() -> Generator[None]:
        with client.context(distinct_id="d"):
            yield

    half_done = work()
    copy_context().run(next, half_done)
    half_done.close()
    with client.context(distinct_id="other"):
        client.capture("e")
    assert [event.distinct_id for event in sent(client, transport)] == ["other"]


def test_context_is_that_of_one_client(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    first, second = make_client(), make_client()
    with first.context(distinct_id="d", secret=1):
        second.capture("user-1", "e")
    assert sent(second, transport)[0].properties == {}


def test_tasks_and_threads_have_contexts_of_their_own(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    client = make_client()

    async def answer(user: str, begun: asyncio.Event, go_on: asyncio.Event) -> None:
        with client.context(distinct_id=user):
            begun.set()
            await go_on.wait()
            client.capture("answered")

    async def serve() -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(answer("first", begun, go_on))
        await begun.wait()
        await answer("second", go_on, go_on)
        await first

    asyncio.run(serve())
    with client.context(distinct_id="main"):
        thread = threading.Thread(target=client.capture, args=("of nobody",))
        thread.start()
        thread.join()
    events = sent(client, transport)
    assert sorted(event.distinct_id for event in events) == ["first", "second"]


def test_context_says_of_people_only_who_they_are(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    client = make_client(super_properties={"app": "shop"})
    with client.context(distinct_id="d", request=7, groups={"company": "acme"}):
        client.set({"plan": "pro"})
        client.set_once({"first": datetime(2026, 1, 1, tzinfo=UTC)})
        client.unset("plan", "first")
        client.add({"visits": 1, "spent": 9.5}, distinct_id=17)
        client.append({"tags": "new"}, distinct_id="e")
        client.identify("f", {"a": 1})
    events = sent(client, transport)
    assert [(event.event, event.distinct_id, event.properties) for event in events] == [
        ("$set", "d", {"$set": {"plan": "pro"}}),
        ("$set", "d", {"$set_once": {"first": "2026-01-01T00:00:00Z"}}),
        ("$set", "d", {"$unset": ["plan", "first"]}),
        ("$set", "17", {"$add": {"visits": 1, "spent": 9.5}}),
        ("$set", "e", {"$append": {"tags": "new"}}),
        ("$identify", "f", {"$set": {"a": 1}}),
    ]
    assert not any(event.groups for event in events)


def test_value_without_wire_form_costs_one_property_of_a_person(
    make_client: ClientMaker, transport: MemoryTransport, complaints: Complaints
) -> None:
    client = make_client()
    client.append({"a": 1, "b": object()}, distinct_id="d")
    assert sent(client, transport)[0].properties == {"$append": {"a": 1}}
    assert complaints.kinds == ["PropertyRefusedError"]


def test_before_send_sees_the_event_and_may_change_it(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    seen: list[CapturedEvent] = []

    def before_send(event: CapturedEvent) -> CapturedEvent:
        seen.append(event.copy())
        event["event"] = "renamed"
        event["properties"]["by"] = {"hook"}
        return event

    client = make_client(before_send=before_send)
    event_id = client.capture("d", "e", {"a": 1}, groups={"g": "k"})
    [event] = sent(client, transport)
    assert str(event.event_id) == event_id == seen[0]["event_id"]
    assert event.timestamp == seen[0]["timestamp"]
    assert (event.event, event.properties) == ("renamed", {"a": 1, "by": ["hook"]})
    assert (seen[0]["event"], seen[0]["groups"]) == ("e", {"g": "k"})


def test_event_that_before_send_holds_back_is_counted_and_no_fault(
    make_client: ClientMaker, transport: MemoryTransport, complaints: Complaints
) -> None:
    client = make_client(before_send=lambda event: None)
    assert client.capture("d", "e") is None
    assert client.stats().lost == {LossReason.BEFORE_SEND: 1}
    assert client.stats().captured == 1
    assert not complaints.errors
    assert sent(client, transport) == []


@pytest.mark.parametrize(
    "returned",
    [
        17,
        {},
        {"event": "e"},
        {"event": "", "distinct_id": "d", "event_id": "x", "timestamp": 0},
        {"event": "e", "distinct_id": "d", "event_id": "x", "timestamp": 0},
        ZeroDivisionError(),
    ],
)
def test_before_send_that_fails_costs_that_event_only(
    make_client: ClientMaker,
    transport: MemoryTransport,
    complaints: Complaints,
    returned: Any,
) -> None:
    def before_send(event: CapturedEvent) -> Any:
        if event["event"] == "good":
            return event
        if isinstance(returned, Exception):
            raise returned
        return returned

    client = make_client(before_send=before_send)
    assert client.capture("d", "bad") is None
    assert client.capture("d", "good")
    assert [event.event for event in sent(client, transport)] == ["good"]
    assert client.stats().lost == {LossReason.BEFORE_SEND_FAILED: 1}
    assert isinstance(complaints.errors[0], BeforeSendError)
    assert complaints.names == [["bad"]]


def test_before_send_that_sets_what_cannot_be_sent_costs_the_event(
    make_client: ClientMaker, complaints: Complaints
) -> None:
    def before_send(event: CapturedEvent) -> CapturedEvent:
        event["properties"] = {"a": object()}
        return event

    assert make_client(before_send=before_send).capture("d", "e") is None
    assert complaints.kinds == ["BeforeSendError"]


def test_disabled_client_does_nothing_and_needs_nothing(
    transport: MemoryTransport,
) -> None:
    with Client(disabled=True, transport=transport) as client:
        assert client.capture("d", "e") is None
        assert client.capture("") is None
        assert client.identify("d") is None
        assert client.set({}) is None
        assert client.capture_exception(ValueError()) is None
    assert client.stats() == Stats(0, 0, 0, {}, 0)
    assert transport.attempts == 0


def test_historical_client_says_so_in_each_batch(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    client = make_client(historical=True, max_batch_events=1)
    then = datetime(2004, 2, 29, tzinfo=UTC)
    client.capture("d", "first", timestamp=then)
    client.capture("d", "second", timestamp=then)
    assert [event.timestamp for event in sent(client, transport)] == [
        int(then.timestamp() * 1000)
    ] * 2
    assert [batch.envelope.historical for batch in transport.received.batches] == [
        True,
        True,
    ]
