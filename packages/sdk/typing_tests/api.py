"""The public surface as a type checker sees it. Checked by mypy, never run."""
# ruff: noqa: INP001 - no package

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import assert_type
from uuid import UUID, uuid4

import headwater
from headwater import (
    AsyncClient,
    AsyncTransport,
    BatchRefusedError,
    Block,
    CapturedEvent,
    Client,
    EventRefusedError,
    FlushResult,
    HeadwaterError,
    HttpTransport,
    LossError,
    LossReason,
    PersonId,
    PropertyRefusedError,
    ReportedError,
    Request,
    Response,
    SettingsError,
    Stats,
    Transport,
    TransportError,
)


def on_error(error: ReportedError, events: list[CapturedEvent]) -> None:
    """Tells the kinds of faults apart."""
    if isinstance(error, LossError):
        assert_type(error.reason, LossReason)
    if isinstance(error, BatchRefusedError):
        assert_type(error.status, int)
        assert_type(error.code, str)
    elif isinstance(error, EventRefusedError):
        assert_type(error.outcome, str)
        assert_type(error.detail, str)
    elif isinstance(error, PropertyRefusedError):
        assert_type(error.refused, dict[str, str])
    for event in events:
        assert_type(event["event_id"], str)
        assert_type(event["timestamp"], int)


class Outbox:
    """A transport needs no base class."""

    def send(self, request: Request) -> Response:
        """Answer with what was sent."""
        assert_type(request.headers, Mapping[str, str])
        raise TransportError(str(len(request.body)))

    def close(self) -> None:
        """Has nothing to close."""


transport: Transport = Outbox()
transport = HttpTransport("http://localhost/ingest-events", 10)

client = Client("key", "http://localhost", transport=transport, on_error=on_error)
assert_type(client.capture("user-1", "bought"), str | None)
client.capture(17, "bought", {"amount": 49.99, "tags": {"a", "b"}})
client.capture(uuid4(), "bought", None, groups={"company": 7})
client.capture("user-1", "bought", timestamp=datetime.now(UTC), event_id=uuid4())
assert_type(client.identify("user-1", {"plan": "pro"}, set_once={"a": 1}), str | None)
assert_type(client.group_identify("company", "acme", {"seats": 5}), str | None)
assert_type(client.alias("user-1", "anonymous"), str | None)
assert_type(client.flush(), FlushResult)
assert_type(client.flush(timeout=5), FlushResult)
assert_type(client.shutdown(1.5), FlushResult)
assert_type(client.queue_length, int)
assert_type(client.stats(), Stats)
assert_type(client.stats().lost, dict[LossReason, int])

with Client("key", "http://localhost", on_error=lambda *_: None) as same:
    assert_type(same, Client)

person: PersonId = UUID(int=1)

integers: dict[str, int] = {"a": 1}
client.capture(person, "any mapping with text keys will do", integers)

with client.context({"$ip": "10.0.0.1"}, distinct_id="user-1", request_id=7):
    assert_type(client.capture("bought", {"amount": 49.99}), str | None)
    assert_type(client.capture("bought"), str | None)
    assert_type(client.set({"plan": "pro"}), str | None)
client.set_once({"first": 1}, distinct_id=17)
client.unset("plan", "first")
client.add({"visits": 1, "spent": 9.9})
client.append({"tags": "new"})
assert_type(client.capture_exception(ValueError("x"), {"a": 1}), str | None)
client.capture_exception(handled=False)


def before_send(event: CapturedEvent) -> CapturedEvent | None:
    """Holds back and changes."""
    event.setdefault("properties", {})["host"] = "web-1"
    return event if event["event"] != "noise" else None


Client("key", "http://localhost", overflow=Block(0.1), before_send=before_send)
Client("key", "http://localhost", compression="zstd", spool="events.db", strict=True)


class AsyncOutbox:
    """A transport for asyncio."""

    async def send(self, request: Request) -> Response:
        """Answer with what was sent."""
        return Response(200, request.headers, request.body)

    async def close(self) -> None:
        """Has nothing to close."""


async def use_asyncio() -> None:
    """The same names and options, of which some are awaited."""
    carrier: AsyncTransport = AsyncOutbox()
    async with AsyncClient("key", "http://localhost", transport=carrier) as client:
        assert_type(client, AsyncClient)
        assert_type(client.capture("user-1", "bought"), str | None)
        assert_type(await client.flush(), FlushResult)
        assert_type(await client.shutdown(timeout=1.5), FlushResult)


assert_type(headwater.init("key", "http://localhost", flush_at=10), Client)
assert_type(headwater.capture("user-1", "bought", {"a": 1}), str | None)
assert_type(headwater.identify("user-1", {"plan": "pro"}), str | None)
assert_type(headwater.flush(timeout=5), FlushResult)
assert_type(headwater.deliver_on_sigterm(), bool)
with headwater.context(distinct_id="user-1", plan="pro"):
    headwater.capture("bought")

try:
    Client("", "")
except SettingsError as error:
    assert_type(error.faults, tuple[str, ...])
    root: HeadwaterError = error

client.capture("user-1", "bought", ["a"])  # type: ignore[call-overload] # no mapping
client.capture("user-1", "bought", timestamp=17)  # type: ignore[call-overload] # not a datetime
client.capture("user-1", "bought", {}, {"company": "acme"})  # type: ignore[call-overload] # by keyword only
Client("key", "http://localhost", 100)  # type: ignore[call-arg, arg-type] # options go by keyword
Client("key", "http://localhost", flush_it=100)  # type: ignore[call-arg] # no such option
Client("key", "http://localhost", flush_at="1")  # type: ignore[arg-type] # not a number
AsyncClient("key", "http://localhost", transport=Outbox())  # type: ignore[arg-type] # not for asyncio
