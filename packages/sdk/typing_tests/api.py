"""The public surface as a type checker sees it. Checked by mypy, never run."""
# ruff: noqa: INP001 - no package

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import assert_type
from uuid import UUID, uuid4

from headwater import (
    BatchRefusedError,
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

try:
    Client("", "")
except SettingsError as error:
    assert_type(error.faults, tuple[str, ...])
    root: HeadwaterError = error

client.capture("user-1")  # type: ignore[call-arg] # the name is missing
client.capture("user-1", "bought", ["a"])  # type: ignore[arg-type] # no mapping
client.capture("user-1", "bought", timestamp=1700000000)  # type: ignore[arg-type] # not a datetime
client.capture("user-1", "bought", {}, {"company": "acme"})  # type: ignore[call-arg] # by keyword only
Client("key", "http://localhost", 100)  # type: ignore[call-arg] # options go by keyword
