"""What the SDK delivers per second, what a queued event takes, and what a hang costs.

    python -m benchmarks.bench_sdk_delivery

Delivery: 50,000 events into a client with default options but a queue that holds them
all, until a minimal HTTP server in another process has answered for the last. Memory:
growth of the process by 100,000 queued events. Hang: the wall-clock time of single
calls of `capture` while the server takes a request and never answers.
"""

import asyncio
import multiprocessing
import resource
import statistics
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from headwater import AsyncClient, Client, Request, Response

EVENTS = 50_000
QUEUED = 100_000
REPEATS = 5
ROOM: Any = {"max_queue_size": 2 * QUEUED, "max_queue_bytes": 2**30}
PROPERTIES = {
    "plan": "pro",
    "amount": 49.99,
    "currency": "EUR",
    "items": 3,
    "trial": False,
}
BODY = b'{"success":true,"data":{}}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


class Sink(asyncio.Protocol):
    """Reads requests to their ends and answers each, or none."""

    answers = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing."""
        self._transport: Any = transport
        self._data = b""

    def data_received(self, data: bytes) -> None:
        """Answer when a request is complete."""
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if len(body) >= int(length):
            self._data = b""
            if self.answers:
                self._transport.write(ANSWER)


class Hole(Sink):
    """Never answers."""

    answers = False


def serve(ports: Connection) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        servers = [await loop.create_server(kind, "127.0.0.1", 0) for kind in KINDS]
        ports.send([server.sockets[0].getsockname()[1] for server in servers])
        await asyncio.Event().wait()

    asyncio.run(main())


class Hanging:
    """Holds the first request, so that all else stays in the queue."""

    def __init__(self) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()

    def send(self, _request: Request) -> Response:
        """Answer at the end."""
        self.begun.set()
        self.ended.wait()
        return Response(200, {}, BODY)

    def close(self) -> None:
        """Has nothing to close."""


KINDS = (Sink, Hole)


def deliver(url: str) -> float:
    """Returns events per second."""
    with Client("key", url, **ROOM) as client:
        client.capture("user", "first")
        client.flush()
        begin = time.perf_counter()
        for number in range(EVENTS):
            client.capture(f"user-{number}", "order_completed", PROPERTIES)
        result = client.flush(60)
        seconds = time.perf_counter() - begin
    assert result.lost == result.queued == 0
    assert client.stats().delivered == EVENTS + 1
    return EVENTS / seconds


def deliver_async(url: str) -> float:
    """Returns events per second of `AsyncClient`, captured in slices of 1,000."""

    async def main() -> float:
        async with AsyncClient("key", url, **ROOM) as client:
            client.capture("user", "first")
            await client.flush()
            begin = time.perf_counter()
            for number in range(EVENTS):
                client.capture(f"user-{number}", "order_completed", PROPERTIES)
                if number % 1000 == 0:
                    await asyncio.sleep(0)
            result = await client.flush(60)
            seconds = time.perf_counter() - begin
        assert result.lost == result.queued == 0
        return EVENTS / seconds

    return asyncio.run(main())


def hang(url: str, clock: Callable[[], int]) -> tuple[float, float]:
    """Returns median and 99.9th percentile of `capture`, in µs of a clock."""
    times = []
    client = Client("key", url, on_error=lambda *_: None, **ROOM)
    for number in range(EVENTS):
        begin = clock()
        client.capture(f"user-{number}", "order_completed", PROPERTIES)
        times.append(clock() - begin)
    client.shutdown(0)
    times.sort()
    return times[EVENTS // 2] / 1000, times[EVENTS * 999 // 1000] / 1000


def measure_memory(_url: str) -> float:
    """Returns bytes per queued event; to be called in a process of its own."""
    transport = Hanging()
    client = Client("key", "http://localhost", flush_at=1, transport=transport, **ROOM)
    client.capture("user", "first", PROPERTIES)
    transport.begun.wait()
    before = resident_bytes()
    for number in range(QUEUED):
        client.capture(f"user-{number}", "order_completed", PROPERTIES)
    grown = resident_bytes() - before
    transport.ended.set()
    return grown / QUEUED


def resident_bytes() -> int:
    """Returns the memory of this process, as Linux tells it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def show(name: str, values: list[float], unit: str) -> None:
    shown = statistics.median(values), min(values), max(values)
    columns = " | ".join(f"{value:,.0f}" for value in shown)
    print(f"| {name}, {unit} | {columns} |", flush=True)


def main() -> None:
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    sink, hole = (f"http://127.0.0.1:{port}" for port in mine.recv())
    print("| | median | min | max |")
    print("| --- | --- | --- | --- |")
    show("Client", [deliver(sink) for _ in range(REPEATS)], "events/s")
    show("AsyncClient", [deliver_async(sink) for _ in range(REPEATS)], "events/s")
    # Where others use the machine, too, the first clock tells of them as well.
    for clock in (time.perf_counter_ns, time.thread_time_ns):
        hangs = [hang(hole, clock) for _ in range(REPEATS)]
        unit = f"µs of {clock.__name__}"
        show("server hangs: median capture", [each[0] for each in hangs], unit)
        show("server hangs: p99.9 capture", [each[1] for each in hangs], unit)
    with context.Pool(1, maxtasksperchild=1) as pool:
        sizes = pool.map(measure_memory, [""] * REPEATS, chunksize=1)
    show("queued event", sizes, "bytes")
    server.terminate()


if __name__ == "__main__":
    main()
