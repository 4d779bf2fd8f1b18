"""How a body arrives: in parts, too long, too slowly, or not to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message

from headwater_ingest.http import body as body_module
from headwater_ingest.http.body import MAX_DISCARDED_BYTES, read_body
from headwater_ingest.http.refusal import ClientGoneError, RequestRefusedError
from headwater_schema.limits import MAX_BATCH_BYTES
from headwater_schema.outcomes import ErrorCode

if TYPE_CHECKING:
    from packages.ingest.tests.http.conftest import Edge

KEY = "hw_key_of_the_first_site"
MIB = 1024 * 1024
GOOD = msgspec.json.encode({"events": [{"event": "Clicked", "distinct_id": "ada"}]})


@dataclass
class Client:
    """A client at the level of ASGI messages.

    Attributes:
        parts: The parts of the body that it sends; None is where it hangs up.
        stalls: It sends nothing more after these, and does not hang up either.
        taken: How many bytes were taken from it.
    """

    parts: Iterator[bytes | None]
    stalls: bool = False
    taken: int = 0
    sent: list[Message] = field(default_factory=list)

    async def receive(self) -> Message:
        part = next(self.parts, b"")
        if part is None:
            return {"type": "http.disconnect"}
        if not part and self.stalls:
            await asyncio.Event().wait()
        self.taken += len(part)
        return {"type": "http.request", "body": part, "more_body": bool(part)}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    def call(self, edge: Edge, **headers: str) -> tuple[int, dict[str, Any]] | None:
        """Posts, and returns status and body of the answer if there is one."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/ingest-events",
            "headers": [
                (name.encode(), value.encode())
                for name, value in {"x-headwater-key": KEY, **names}.items()
            ],
        }
        asyncio.run(edge.app(scope, self.receive, self.send))
        if not self.sent:
            return None
        start, body = self.sent
        return start["status"], msgspec.json.decode(body["body"])


def endless(part: bytes = bytes(MIB)) -> Iterator[bytes]:
    while True:
        yield part


def run(reading: Awaitable[bytes]) -> bytes:
    async def await_it() -> bytes:
        return await reading

    return asyncio.run(await_it())


@settings(deadline=None, max_examples=50)
@given(st.lists(st.binary(min_size=1, max_size=50), max_size=9))
def test_a_body_in_parts_is_put_together(parts: list[bytes]) -> None:
    client = Client(iter(parts))

    assert run(read_body(client.receive, {})) == b"".join(parts)


def test_a_batch_in_parts_is_taken(edge: Edge) -> None:
    answered = Client(iter([GOOD[:9], GOOD[9:]])).call(edge)

    assert answered is not None
    assert (answered[0], answered[1]["data"]["accepted"]) == (200, 1)


def test_a_stated_length_over_the_limit_is_413(edge: Edge) -> None:
    client = Client(iter([GOOD]))

    answered = client.call(edge, content_length=str(MAX_BATCH_BYTES + 1))

    assert answered is not None
    assert (answered[0], answered[1]["code"]) == (413, "too_large")


@pytest.mark.parametrize("stated", ["9" * 30, "9" * 5000])
def test_an_absurd_length_is_413(edge: Edge, stated: str) -> None:
    answered = Client(iter([GOOD])).call(edge, content_length=stated)

    assert answered is not None
    assert answered[0] == 413


@pytest.mark.parametrize("stated", ["", "-1", "many", "+7", "²", "1e9"])
def test_a_length_that_is_no_number_says_nothing(edge: Edge, stated: str) -> None:
    answered = Client(iter([GOOD])).call(edge, content_length=stated)

    assert answered is not None
    assert answered[0] == 200


def test_a_body_over_the_limit_is_413_although_no_length_was_stated(edge: Edge) -> None:
    client = Client(iter([bytes(MIB)] * 21))

    answered = client.call(edge, transfer_encoding="chunked")

    assert answered is not None
    assert (answered[0], answered[1]["code"]) == (413, "too_large")


def test_a_length_that_lies_does_not_help(edge: Edge) -> None:
    answered = Client(iter([bytes(MIB)] * 21)).call(edge, content_length="9")

    assert answered is not None
    assert answered[0] == 413


def test_a_body_of_one_part_over_the_limit_is_413() -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": bytes(MAX_BATCH_BYTES + 1)}

    with pytest.raises(RequestRefusedError) as caught:
        run(read_body(receive, {}))

    assert caught.value.code == ErrorCode.TOO_LARGE


@pytest.mark.parametrize("stated", ["", str(25 * MIB)])
def test_a_client_that_reads_late_gets_to_see_the_413(edge: Edge, stated: str) -> None:
    client = Client(iter([bytes(MIB)] * 25))

    answered = client.call(edge, content_length=stated)

    assert answered is not None
    assert answered[0] == 413
    # Closing a connection with unread bytes resets it, and the answer is lost.
    assert client.taken == 25 * MIB


@pytest.mark.parametrize("stated", ["", str(10**12)])
def test_an_endless_body_is_not_read_for_ever(edge: Edge, stated: str) -> None:
    client = Client(endless())

    answered = client.call(edge, content_length=stated)

    assert answered is not None
    assert answered[0] == 413
    assert client.taken <= MAX_BATCH_BYTES + MAX_DISCARDED_BYTES + 2 * MIB


@pytest.mark.parametrize("stated", ["", str(10**12)])
def test_a_stalled_body_that_is_too_large_is_answered_in_time(
    edge: Edge, monkeypatch: pytest.MonkeyPatch, stated: str
) -> None:
    monkeypatch.setattr(body_module, "DISCARD_S", 0.01)

    answered = Client(iter([bytes(MIB)] * 21), stalls=True).call(
        edge, content_length=stated
    )

    assert answered is not None
    assert answered[0] == 413


def test_a_client_that_asks_first_is_refused_before_it_sends(edge: Edge) -> None:
    client = Client(endless())

    answered = client.call(
        edge, content_length=str(MAX_BATCH_BYTES + 1), expect="100-continue"
    )

    assert answered is not None
    assert answered[0] == 413
    assert client.taken == 0


def test_a_refused_client_may_hang_up_while_it_is_read_out(edge: Edge) -> None:
    answered = Client(iter([bytes(MIB), None])).call(
        edge, content_length=str(MAX_BATCH_BYTES + 1)
    )

    assert answered is not None
    assert answered[0] == 413
    assert edge.counted("headwater_requests_refused_total", code="too_large") == 1


def test_a_body_that_stalls_is_refused_in_time(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_module, "BODY_S", 0.01)

    answered = Client(iter([GOOD[:9]]), stalls=True).call(edge)

    assert answered is not None
    assert (answered[0], answered[1]["code"]) == (400, "malformed_body")
    assert "did not arrive" in answered[1]["message"]


@pytest.mark.parametrize("parts", [[], [GOOD[:9]], [GOOD[:9], GOOD[9:12]]])
def test_a_client_that_hangs_up_gets_no_answer_and_leaves_nothing(
    edge: Edge, parts: list[bytes]
) -> None:
    client = Client(iter([*parts, None]))

    assert client.call(edge) is None
    assert edge.journal.blobs == []
    assert edge.counted("headwater_requests_refused_total") == 0
    assert edge.counted("headwater_request_duration_seconds_count") == 0


def test_a_batch_that_was_taken_is_timed_and_measured(edge: Edge) -> None:
    Client(iter([GOOD])).call(edge)

    assert edge.counted("headwater_request_duration_seconds_count") == 1
    assert edge.counted("headwater_request_body_bytes_total") == len(GOOD)


def test_a_node_that_stops_reads_no_body(edge: Edge) -> None:
    edge.door.refusing = True
    client = Client(endless())

    answered = client.call(edge)

    assert answered is not None
    assert answered[0] == 503
    assert client.taken == 0


def raised_by(call: Callable[[], object]) -> type[Exception]:
    try:
        call()
    except (ClientGoneError, RequestRefusedError) as error:
        return type(error)
    pytest.fail("nothing was raised")


def test_reading_tells_a_client_that_is_gone_from_one_that_is_refused() -> None:
    gone = Client(iter([b"x", None]))
    long = Client(iter([bytes(MAX_BATCH_BYTES), b"x"]))

    assert raised_by(lambda: run(read_body(gone.receive, {}))) is ClientGoneError
    with pytest.raises(RequestRefusedError) as caught:
        run(read_body(long.receive, {}))
    assert caught.value.code == ErrorCode.TOO_LARGE
