"""`AsyncClient` promises what `Client` does, on event loops and without a thread."""

from __future__ import annotations

import asyncio
import gc
import os
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from headwater import (
    AsyncClient,
    AsyncHttpTransport,
    Block,
    FlushResult,
    LossReason,
    Request,
    Response,
    SettingsError,
    TransportError,
    _lifecycle,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from packages.sdk.tests.conftest import (
        Complaints,
        MemoryTransport,
        ScriptedAnswer,
        ScriptedServer,
        Senders,
    )


class AsyncMemoryTransport:
    """Answers as the script of a transport for threads says."""

    def __init__(self, inner: MemoryTransport) -> None:
        self.inner = inner
        self.gate = asyncio.Event()
        self.gate.set()

    async def send(self, request: Request) -> Response:
        await asyncio.sleep(0)
        self.inner.attempts += 1
        await self.gate.wait()
        self.inner.attempts -= 1
        return self.inner.send(request)

    async def close(self) -> None:
        self.inner.close()


@pytest.fixture
def carrier(transport: MemoryTransport) -> AsyncMemoryTransport:
    return AsyncMemoryTransport(transport)


@pytest.fixture
def make(
    carrier: AsyncMemoryTransport, complaints: Complaints
) -> Callable[..., AsyncClient]:
    def build(**options: Any) -> AsyncClient:
        given = {
            "write_key": "key",
            "host": "http://localhost:1",
            "flush_interval": 60.0,
            "on_error": complaints,
            "transport": carrier,
            **options,
        }
        return AsyncClient(**given)

    return build


def settled(delivered: int = 0, lost: int = 0) -> FlushResult:
    return FlushResult(delivered=delivered, lost=lost, queued=0, timed_out=False)


async def until(is_true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not is_true():  # noqa: ASYNC110 - there is nothing that would tell
            await asyncio.sleep(0.002)


def test_leaving_the_block_delivers_everything_without_a_thread(
    make: Callable[..., AsyncClient], transport: MemoryTransport, senders: Senders
) -> None:
    async def main() -> None:
        async with make(max_batch_events=100) as client:
            ids = [client.capture("d", str(number)) for number in range(250)]
            assert len(set(ids)) == 250
            assert senders() == []
        assert client.capture("d", "late") is None
        assert client.stats().delivered == 250
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    assert transport.received.events == [str(number) for number in range(250)]
    assert transport.is_closed


def test_enough_events_are_sent_without_waiting_and_few_after_the_interval(
    make: Callable[..., AsyncClient], transport: MemoryTransport
) -> None:
    async def main() -> None:
        client = make(flush_at=3, flush_interval=0.02)
        for name in "abc":
            client.capture("d", name)
        await until(lambda: transport.received.events == ["a", "b", "c"])
        client.capture("d", "d")
        await until(lambda: client.stats().delivered == 4)
        await client.shutdown()

    asyncio.run(main())


def test_flush_tells_and_ends_when_its_time_is_up(
    make: Callable[..., AsyncClient], carrier: AsyncMemoryTransport
) -> None:
    async def main() -> None:
        client = make()
        carrier.gate.clear()
        client.capture("d", "e")
        late = FlushResult(0, 0, 1, timed_out=True)
        for timeout in (0.01, 0, -1, float("nan")):
            assert await client.flush(timeout) == late
        carrier.gate.set()
        assert await client.flush(10**12) == settled(delivered=1)
        assert await client.flush() == settled()
        await client.shutdown()

    asyncio.run(main())


@pytest.mark.usefixtures("_no_backoff")
def test_failed_delivery_is_kept_and_tried_again(
    make: Callable[..., AsyncClient],
    transport: MemoryTransport,
    complaints: Complaints,
) -> None:
    async def main() -> None:
        transport.fail(2)
        transport.script.append(ZeroDivisionError("a transport is foreign code"))
        client = make(max_retries=2)
        client.capture("d", "e")
        assert await client.flush() == FlushResult(0, 0, 1, timed_out=False)
        assert await client.flush() == settled(delivered=1)
        await client.shutdown()

    asyncio.run(main())
    assert complaints.kinds == ["UnavailableError"]


def test_shutdown_gives_up_what_cannot_be_delivered_in_time(
    make: Callable[..., AsyncClient], carrier: AsyncMemoryTransport
) -> None:
    async def main() -> None:
        client = make()
        carrier.gate.clear()
        client.capture("d", "e")
        assert await client.shutdown(0.01) == FlushResult(0, 1, 0, timed_out=True)
        assert await client.shutdown() == settled()
        assert client.stats().lost == {LossReason.UNDELIVERED: 1}
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_events_captured_by_other_threads_and_before_the_loop_are_sent(
    make: Callable[..., AsyncClient], transport: MemoryTransport
) -> None:
    client = make()
    client.capture("d", "before")

    async def main() -> None:
        await asyncio.to_thread(client.capture, "d", "thread")
        assert await client.flush() == settled(delivered=2)
        await asyncio.to_thread(client.capture, "d", "again")
        assert await client.flush() == settled(delivered=1)
        await client.shutdown()

    asyncio.run(main())
    assert transport.received.events == ["before", "thread", "again"]


def test_client_outlives_event_loops(
    make: Callable[..., AsyncClient], carrier: AsyncMemoryTransport
) -> None:
    client = make()

    async def capture(name: str) -> None:
        carrier.gate = asyncio.Event()
        client.capture("d", name)
        await asyncio.sleep(0)

    asyncio.run(capture("cut off"))
    asyncio.run(capture("by the end"))
    assert client.queue_length == 2

    async def flush() -> None:
        carrier.gate.set()
        assert await client.flush() == settled(delivered=2)
        await client.shutdown()

    asyncio.run(flush())
    assert client.stats().delivered == 2


def test_loop_that_is_closed_without_ending_its_tasks_is_left(
    make: Callable[..., AsyncClient],
) -> None:
    client = make()
    loop = asyncio.new_event_loop()

    async def capture() -> asyncio.Task[None] | None:
        client.capture("d", "e")
        return client._driver._runner

    task = loop.run_until_complete(capture())
    loop.close()

    async def flush() -> None:
        assert await client.flush(10) == settled(delivered=1)
        await client.shutdown()

    asyncio.run(flush())
    assert task is not None
    task._log_destroy_pending = False  # type: ignore[attr-defined] # as expected here


def test_what_no_loop_has_sent_is_delivered_at_the_exit(
    make: Callable[..., AsyncClient], transport: MemoryTransport
) -> None:
    client = make()
    client.capture("d", "e")
    _lifecycle.deliver_at_exit()
    assert transport.received.events == ["e"]
    assert client.stats().delivered == 1
    assert client.capture("d", "late") is None


def test_flush_inside_on_error_does_not_wait_for_itself(
    make: Callable[..., AsyncClient], transport: MemoryTransport
) -> None:
    flushes: list[asyncio.Task[FlushResult]] = []

    async def main() -> None:
        def on_error(*_: object) -> None:
            flushes.append(asyncio.create_task(client.flush(5)))

        transport.answer(400)
        client = make(on_error=on_error)
        client.capture("d", "refused")
        await client.flush()
        assert await flushes[0] == settled()
        await client.shutdown()

    asyncio.run(main())


def test_blocking_is_refused(make: Callable[..., AsyncClient]) -> None:
    with pytest.raises(SettingsError, match="await flush"):
        make(overflow=Block(1))


def test_dropped_client_delivers_and_ends_its_task(
    make: Callable[..., AsyncClient], transport: MemoryTransport
) -> None:
    async def main() -> None:
        client = make()
        client.capture("d", "e")
        gone = weakref.ref(client)
        del client
        gc.collect()
        assert gone() is None
        await until(lambda: len(asyncio.all_tasks()) == 1)

    asyncio.run(main())
    assert transport.received.events == ["e"]


@pytest.mark.parametrize("rounds", [0, 3])
def test_client_dropped_with_its_loop_delivers_at_the_exit(
    rounds: int, make: Callable[..., AsyncClient], transport: MemoryTransport
) -> None:
    async def main() -> None:
        make().capture("d", "e")
        for _ in range(rounds):
            await asyncio.sleep(0)

    # The first is delivered by its task, if the loop runs for long enough.
    asyncio.run(main())
    make().capture("d", "without a loop")
    gc.collect()
    _lifecycle.deliver_at_exit()
    assert sorted(transport.received.events) == ["e", "without a loop"]


def test_real_server_is_spoken_to_over_one_connection(server: ScriptedServer) -> None:
    async def main() -> None:
        async with AsyncClient("key", server.url) as client:
            for name in "abc":
                client.capture("d", name)
                assert await client.flush(10) == settled(delivered=1)

    asyncio.run(main())
    assert server.received.events == ["a", "b", "c"]
    assert server.connections == 1
    assert server.received.headers[0]["x-headwater-key"] == "key"


def test_server_that_hangs_is_left_after_the_timeout(
    server: ScriptedServer, scripted: Callable[..., ScriptedAnswer]
) -> None:
    async def main() -> None:
        server.script.append(scripted(hangs=True))
        async with AsyncClient("key", server.url, timeout=0.2) as client:
            client.capture("d", "e")
            assert await client.flush(10) == settled(delivered=1)

    asyncio.run(main())
    assert len(set(server.received.batch_ids)) == 1


def test_server_that_is_away_is_a_failure_of_the_transport(
    server: ScriptedServer,
) -> None:
    server.stop()

    async def main() -> None:
        carrier = AsyncHttpTransport(server.url, 1)
        with pytest.raises(TransportError, match="ConnectError"):
            await carrier.send(Request({}, b""))
        await carrier.close()
        await carrier.close()

    asyncio.run(main())


def test_new_loop_gets_a_new_connection(server: ScriptedServer) -> None:
    client = AsyncClient("key", server.url)

    async def capture(name: str) -> None:
        client.capture("d", name)
        assert await client.flush(10) == settled(delivered=1)

    asyncio.run(capture("first"))
    asyncio.run(capture("second"))

    asyncio.run(client.shutdown())
    assert server.received.events == ["first", "second"]
    assert server.connections == 2


def test_child_of_a_fork_begins_anew(
    make: Callable[..., AsyncClient], transport: MemoryTransport
) -> None:
    client = make()
    client.capture("d", "of the parent")
    _lifecycle._reset_after_fork()
    assert client.queue_length == 0

    async def main() -> None:
        client.capture("d", "of the child")
        assert await client.flush() == settled(delivered=1)
        await client.shutdown()

    asyncio.run(main())
    assert transport.received.events == ["of the child"]
    assert os.getpid() == client._driver._pid
