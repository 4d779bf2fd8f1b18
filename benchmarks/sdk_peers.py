r"""What this SDK and its peers cost the application, side by side in one run.

    python3 -m venv .venv-peers
    .venv-peers/bin/pip install -r benchmarks/requirements-peers.txt \
        -e packages/shared-schema -e packages/sdk
    .venv-peers/bin/python benchmarks/sdk_peers.py [PEER ...] [--runs N]

Each figure is taken in a process of its own, in turn, so that whatever else the machine
does meets all of them; shown is the median, and the smallest to the largest. They send
to one server on loopback, a process that answers every request at once in a way that
all of them take for success.

- *idle*: one call to capture an event of five properties, with a queue that takes it
  and nothing that sends; the median and the 99th percentile of single calls.
- *live*: the same with the sender at work, in its default settings.
- *end to end*: events per second from the first call until the server has the last.
- *bytes per event*: growth of the resident memory by 50,000 queued events.
- *import*: of the module, in a fresh interpreter.
"""

import argparse
import asyncio
import gzip
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module as load
from typing import Any, Literal

PROPERTIES = {
    "plan": "pro",
    "amount": 49.99,
    "currency": "EUR",
    "items": 3,
    "trial": False,
}
EVENT = "order_completed"
QUEUED = 50_000
NEVER = 10**9
DEADLINE_S = 120.0
ANSWER = (
    b'{"success":true,"data":{"accepted":1},"meta":{},"status":1,"error":null,'
    b'"code":200}'
)


Mode = Literal["idle", "live"]
IDLE: Mode = "idle"
LIVE: Mode = "live"


@dataclass(frozen=True)
class Peer:
    """A client, and how it is used here.

    Attributes:
        module: What is imported.
        make: Returns a client for a URL, a size of the queue, and a mode.
        capture: Captures the event of the given number.
        flush: Returns when all that is queued has been handed to the server.
    """

    module: str
    make: Callable[[str, int, Mode], Any]
    capture: Callable[[Any, int], object]
    flush: Callable[[Any], object]


def make_headwater(url: str, size: int, mode: Mode) -> Any:
    patience = {} if mode == LIVE else {"flush_at": NEVER, "flush_interval": NEVER}
    client = load("headwater").Client
    return client("key", url, max_queue_size=size, **patience)


def make_billdogeng(url: str, size: int, mode: Mode) -> Any:
    patience = {} if mode == LIVE else {"flush_at": NEVER, "flush_interval": NEVER}
    client = load("billdogeng").BilldogEng
    return client("bd_test", host=url, max_queue_size=size, **patience)


def make_posthog(url: str, size: int, mode: Mode) -> Any:
    client = load("posthog").Posthog
    return client("phc", host=url, thread=int(mode == LIVE), max_queue_size=size)


def make_segment(url: str, size: int, mode: Mode) -> Any:
    client = load("segment.analytics.client").Client
    return client("key", host=url, thread=int(mode == LIVE), max_queue_size=size)


def capture(client: Any, number: int) -> object:
    return client.capture(f"user-{number}", EVENT, dict(PROPERTIES))


def flush_billdogeng(client: Any) -> None:
    client.flush()
    while client.queue_length:
        client.flush()


PEERS = {
    "headwater": Peer(
        "headwater", make_headwater, capture, lambda client: client.flush(DEADLINE_S)
    ),
    "billdogeng": Peer("billdogeng", make_billdogeng, capture, flush_billdogeng),
    "posthog": Peer(
        "posthog",
        make_posthog,
        lambda client, number: client.capture(
            EVENT, distinct_id=f"user-{number}", properties=dict(PROPERTIES)
        ),
        lambda client: client.flush(timeout_seconds=None),
    ),
    "segment": Peer(
        "segment.analytics",
        make_segment,
        lambda client, number: client.track(f"user-{number}", EVENT, dict(PROPERTIES)),
        lambda client: client.flush(),
    ),
}


class Sink(asyncio.Protocol):
    """Counts the events that it is sent."""

    events = 0
    requests = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing."""
        self._transport = transport
        self._bytes = bytearray()

    def data_received(self, data: bytes) -> None:
        """Answer each request that is there as a whole."""
        self._bytes += data
        while (end := self._bytes.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._bytes[:end]).lower()
            _, _, rest = head.partition(b"content-length:")
            length = int(rest.split(b"\r\n")[0] or 0)
            if len(self._bytes) < end + 4 + length:
                return
            body = bytes(self._bytes[end + 4 : end + 4 + length])
            del self._bytes[: end + 4 + length]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        answer = ANSWER
        if head.startswith(b"get"):
            answer = json.dumps([Sink.events, Sink.requests]).encode()
        else:
            Sink.requests += 1
            Sink.events += count_events(body)
        start = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
        self._transport.write(b"%b%d\r\n\r\n%b" % (start, len(answer), answer))  # type: ignore[attr-defined] # it is a transport


def count_events(body: bytes) -> int:
    if body[:2] == b"\x1f\x8b":
        body = gzip.decompress(body)
    elif body[:4] == b"\x28\xb5\x2f\xfd":
        body = load("zstandard").ZstdDecompressor().decompressobj().decompress(body)
    # Counting without decoding, so that the server is not what is measured.
    return body.count(b'"order_completed"')


def serve() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Sink, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(run())


def count_at(url: str) -> int:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return int(json.loads(answer.read())[0])


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123 - nothing more is imported
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure_import(peer: Peer, _url: str, _events: int) -> dict[str, float]:
    began = time.perf_counter()
    load(peer.module)
    return {"import ms": (time.perf_counter() - began) * 1e3}


def measure_idle(peer: Peer, url: str, events: int) -> dict[str, float]:
    client = peer.make(url, events + 1_000, IDLE)
    for number in range(500):
        peer.capture(client, number)
    return {f"idle {name}": each for name, each in time_calls(peer, client, events)}


def measure_live(peer: Peer, url: str, events: int) -> dict[str, float]:
    client = peer.make(url, events + 1_000, LIVE)
    before = count_at(url)
    began = time.perf_counter()
    times = time_calls(peer, client, events)
    peer.flush(client)
    while count_at(url) - before < events:
        if time.perf_counter() - began > DEADLINE_S:
            raise TimeoutError(f"{peer.module} has not delivered {events} events")
        time.sleep(0.005)
    found = {f"live {name}": each for name, each in times}
    return found | {"events/s": events / (time.perf_counter() - began)}


def measure_memory(peer: Peer, url: str, _events: int) -> dict[str, float]:
    client = peer.make(url, QUEUED + 1_000, IDLE)
    for number in range(500):
        peer.capture(client, number)
    before = resident_bytes()
    for number in range(QUEUED):
        peer.capture(client, number)
    return {"bytes/event": (resident_bytes() - before) / QUEUED}


MEASURES = {
    "import": measure_import,
    "idle": measure_idle,
    "live": measure_live,
    "memory": measure_memory,
}


def time_calls(peer: Peer, client: Any, events: int) -> list[tuple[str, float]]:
    clock = time.perf_counter_ns
    times = []
    for number in range(events):
        begin = clock()
        peer.capture(client, number)
        times.append((clock() - begin) / 1e3)
    times.sort()
    return [("p50 µs", times[events // 2]), ("p99 µs", times[events * 99 // 100])]


def run_child(measure: str, name: str, url: str, events: int) -> None:
    print(json.dumps(MEASURES[measure](PEERS[name], url, events)), flush=True)
    # Some of them would wait for minutes to empty a queue that nobody sends.
    os._exit(0)


def start_child(measure: str, name: str, url: str, events: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", measure, name, url, str(events)]
    output = subprocess.run(command, capture_output=True, check=True, text=True)
    result: dict[str, float] = json.loads(output.stdout.splitlines()[-1])
    return result


def compare(names: list[str], url: str, runs: int, events: int) -> None:
    found: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    for name in names:
        # Not counted: it writes the byte code.
        start_child("import", name, url, events)
    for _ in range(runs):
        for measure in MEASURES:
            for name in names:
                for title, figure in start_child(measure, name, url, events).items():
                    found[name].setdefault(title, []).append(figure)
    print("| | " + " | ".join(names) + " |")
    print("| --- " * (len(names) + 1) + "|")
    for title in found[names[0]]:
        cells = " | ".join(render(found[name][title]) for name in names)
        print(f"| {title} | {cells} |")


def render(figures: list[float]) -> str:
    median = statistics.median(figures)
    digits = 1 if median < 100 else 0
    low, high = min(figures), max(figures)
    return f"{median:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        measure, name, url, events = sys.argv[2:]
        return run_child(measure, name, url, int(events))
    if sys.argv[1:] == ["--serve"]:
        return serve()
    parser = argparse.ArgumentParser(description="The cost of SDKs, side by side.")
    parser.add_argument("peers", nargs="*", metavar="PEER", help=", ".join(PEERS))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--events", type=int, default=20_000)
    chosen = parser.parse_args()
    sink = subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert sink.stdout
        url = f"http://127.0.0.1:{int(sink.stdout.readline())}"
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
        compare(chosen.peers or list(PEERS), url, chosen.runs, chosen.events)
        print(f"load {os.getloadavg()[0]:.1f} at the end")
    finally:
        sink.terminate()
        sink.wait()
    return None


if __name__ == "__main__":
    main()
