"""Testing, typed events and integrations as a type checker sees them; never run."""
# ruff: noqa: INP001 - no package

from decimal import Decimal
from typing import assert_type

import flask

import headwater
from headwater import AsyncClient, AsyncTransport, Client, Event, Transport
from headwater.integrations.asgi import HeadwaterMiddleware
from headwater.integrations.celery import connect
from headwater.integrations.flask import Headwater
from headwater.testing import (
    AsyncMemoryTransport,
    FakeServer,
    MemoryTransport,
    RecordedEvent,
    RecordedEvents,
    record,
)


class OrderCompleted(Event, event="order_completed"):
    """A typed event needs no more than its fields."""

    amount: Decimal
    currency: str = "EUR"


headwater.capture("user-1", OrderCompleted(Decimal(1)))
headwater.capture(OrderCompleted(amount=Decimal(1), currency="USD"))
OrderCompleted()  # type: ignore[call-arg] # the amount is missing
OrderCompleted("1")  # type: ignore[arg-type] # no Decimal


def test_with_the_fixture(headwater_events: RecordedEvents) -> None:
    """Claims give the event back."""
    event = headwater_events.assert_captured("paid", {"amount": 1}, times=1)
    assert_type(event, RecordedEvent)
    assert_type(headwater_events.client, Client)
    assert_type(headwater_events.names, list[str])


with record() as events:
    assert_type(events, RecordedEvents)
with FakeServer() as server:
    assert_type(server.wait_for(1), list[RecordedEvent])

transport: Transport = MemoryTransport()
waiting: AsyncTransport = AsyncMemoryTransport()
client = Client("key", "http://localhost", transport=transport)

connect(client, exceptions=True)
Headwater(flask.Flask("shop"), client=client, distinct_id=lambda request: request.path)
Headwater(page_views=True)  # type: ignore[call-arg] # no such option


async def app(scope: object, receive: object, send: object) -> None:
    """Answers nothing."""


HeadwaterMiddleware(
    app, client=AsyncClient("key", "http://localhost"), distinct_id=lambda _: 7
)
HeadwaterMiddleware(app, distinct_id=lambda _: 1.5)  # type: ignore[arg-type] # no id
