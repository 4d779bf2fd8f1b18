"""What it costs to find the session of a web event: in memory, and in Redis.

Events of returning visitors, one after another and 50 side by side, on the loop that
the service has. CPU is that of this process, so without Redis's own; latency is the
time of one event, the wait for those beside it included. Redis is a real one on a
socket of this machine: the Debian package `redis-server` must be installed.

An open session in memory must not take more than 300 bytes: that is what this process
grows by from 1,000 sessions to a million. It needs Linux.

    python -m benchmarks.bench_sessions [--runs N]
"""

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

import uvloop

from headwater_ingest.errors import RedisUnreachableError
from headwater_ingest.visitors.memory_store import MemorySessionStore
from headwater_ingest.visitors.redis_client import make_client, ping
from headwater_ingest.visitors.redis_store import RedisSessionStore
from headwater_ingest.visitors.sessions import Facts, Session, SessionStore, Visit
from headwater_schema.outcomes import Reason

EVENTS = 5_000
FEW_SESSIONS = 1_000
MANY_SESSIONS = 1_000_000
MUST_BYTES = 300
VISITORS = 1_000
TOGETHER = 50
NOON_S = 1_750_000_000
START_S = 10.0

FACTS: Facts = {
    "referrer": "news.example/item",
    "referrer_source": "news.example",
    "acquisition_channel": "Referral",
    "country_code": "GB",
    "subdivision1_code": "GB-ENG",
    "city_geoname_id": 2_643_743,
    "screen_size": "Desktop",
    "operating_system": "Windows",
    "operating_system_version": "10",
    "browser": "Chrome",
    "browser_version": "142.0",
}


class Cost(NamedTuple):
    """Of one run, in µs per event."""

    cpu: float
    p50: float
    p99: float


@contextmanager
def run_redis() -> Iterator[str]:
    """Runs a Redis that writes nothing to disk, and returns its URL."""
    with tempfile.TemporaryDirectory(prefix="redis-") as directory:
        socket = Path(directory) / "redis.sock"
        command = [
            "redis-server",
            "--port",
            "0",
            "--unixsocket",
            str(socket),
            "--save",
            "",
        ]
        process = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL)
        try:
            wait_for_redis(f"unix://{socket}")
            yield f"unix://{socket}"
        finally:
            process.kill()
            process.wait()


def wait_for_redis(url: str) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            return ping(url)
        except RedisUnreachableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@asynccontextmanager
async def open_redis_store(url: str) -> AsyncIterator[RedisSessionStore]:
    client = make_client(url)
    store = RedisSessionStore(client, here=open_memory_store())
    await store.start()
    yield store
    if store.is_away:
        sys.exit("Redis went away: what was measured is something else")
    await store.close()
    await client.aclose()


def open_memory_store() -> MemorySessionStore:
    return MemorySessionStore(clock_s=time.monotonic, max_sessions=100_000)


async def measure(store: SessionStore, together: int) -> Cost:
    """Registers all events, so many at a time."""
    latencies: list[float] = []

    async def register(number: int) -> None:
        visit = Visit(
            1,
            number % VISITORS,
            10**9 + number % VISITORS,
            NOON_S,
            prolongs_only=False,
            make_facts=FACTS.copy,
        )
        started = time.perf_counter()
        found = store.register(visit)
        if not isinstance(found, Session | Reason):
            await found
        latencies.append(time.perf_counter() - started)

    started = time.process_time()
    for first in range(0, EVENTS, together):
        if together == 1:
            await register(first)
        else:
            batch = range(first, first + together)
            await asyncio.gather(*(register(each) for each in batch))
    cpu = (time.process_time() - started) / EVENTS
    cuts = quantiles(latencies, n=100)
    return Cost(cpu * 1e6, cuts[49] * 1e6, cuts[98] * 1e6)


async def measure_all(url: str, runs: int) -> None:
    print(f"{'µs per event':22}{'CPU':24}{'p50':26}p99")
    async with open_redis_store(url) as redis:
        for name, store in (("memory", open_memory_store()), ("Redis", redis)):
            for together in (1, TOGETHER):
                await measure(store, together)
                costs = [await measure(store, together) for _ in range(runs)]
                label = f"{name}, {together} at a time"
                print(f"{label:22}" + "".join(map(cell, zip(*costs, strict=True))))


def measure_growth() -> float:
    """Returns the bytes that an open session takes, of a million."""
    store = MemorySessionStore(clock_s=lambda: 0.0, max_sessions=4 * MANY_SESSIONS)

    def begin(numbers: range) -> int:
        for number in numbers:
            user_id = hash(str(number)) & 2**64 - 1
            facts = {**FACTS, "country_code": f"{number % 200}"}
            visit = Visit(1, user_id, None, NOON_S, False, facts.copy)  # noqa: FBT003
            store.register(visit)
        return read_rss()

    before = begin(range(FEW_SESSIONS))
    after = begin(range(FEW_SESSIONS, MANY_SESSIONS))
    return (after - before) / (MANY_SESSIONS - FEW_SESSIONS)


def read_rss() -> int:
    pages = Path("/proc/self/statm").read_text("ascii").split()[1]
    return int(pages) * resource.getpagesize()


def cell(values: tuple[float, ...]) -> str:
    return f"{median(values):.1f} ({min(values):.1f}-{max(values):.1f})".ljust(24)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    size = measure_growth()
    print(f"an open session takes {size:.0f} bytes, at most {MUST_BYTES}")
    with run_redis() as url:
        uvloop.run(measure_all(url, runs))


if __name__ == "__main__":
    main()
