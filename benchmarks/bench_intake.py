"""What the intake costs per event: from the bytes of a request to those of its answer.

The journal is a fake that forgets everything at once, so the figures hold decoding,
pipeline and encoding, and neither HTTP nor the disk. They are CPU time, which other
programs on the machine disturb least.

    .venv/bin/python -m benchmarks.bench_intake
"""

import asyncio
import gzip
import random
from collections.abc import Callable, Sequence
from itertools import product
from statistics import median
from time import process_time

import msgspec
import zstandard

from headwater_ingest.data_files import DataFiles
from headwater_ingest.http.intake import Intake, Request
from headwater_ingest.http.native import decode_ingest_events
from headwater_ingest.journal.counts import Count
from headwater_ingest.journal.entry import Committed, Entry, Receipt, StoredAnswer
from headwater_ingest.pipeline.end_user import EndUserSteps
from headwater_ingest.settings import Settings
from headwater_ingest.sites.gatekeeper import Gatekeeper
from headwater_ingest.sites.model import Site, digest_key
from headwater_ingest.sites.registry import SiteRegistry
from headwater_ingest.telemetry.metrics import Metrics
from headwater_schema.ids import new_batch_id, new_event_id

KEY = "hw_benchmark"
NOW_MS = 1_735_787_045_678
ROUNDS = 15
EVENTS_PER_ROUND = 2_000

Encode = Callable[[object], bytes]
FORMATS: dict[str, tuple[Encode, dict[bytes, bytes]]] = {
    "JSON": (msgspec.json.encode, {}),
    "JSON, gzip": (
        lambda batch: gzip.compress(msgspec.json.encode(batch), 6),
        {b"content-encoding": b"gzip"},
    ),
    "JSON, zstd": (
        lambda batch: zstandard.compress(msgspec.json.encode(batch)),
        {b"content-encoding": b"zstd"},
    ),
    "MessagePack": (
        msgspec.msgpack.encode,
        {b"content-type": b"application/msgpack"},
    ),
}
BATCH_SIZES = (1, 50, 500)


class ForgetfulJournal:
    """Takes every entry and knows none."""

    seen_through = 0

    def seen_batch(self, _batch_id: bytes) -> bool:
        """Knows no batch."""
        return False

    def seen_events(self, _ids: Sequence[bytes]) -> set[bytes]:
        """Knows no event."""
        return set()

    async def stored_answer(self, _batch_id: bytes) -> StoredAnswer | None:
        """Has no answer."""
        return None

    async def append(self, _entry: Entry) -> Receipt:
        """Is done at once."""
        return Committed()

    def count(self, _count: Count) -> None:
        """Counts nothing."""


def make_batch(size: int) -> dict[str, object]:
    """Returns a batch of lifelike events: 5 properties, 1 group, about 250 bytes."""
    events = [
        {
            "event": random.choice(("Page Viewed", "Order Completed", "Logged In")),
            "distinct_id": f"user-{random.randrange(100_000)}",
            "event_id": new_event_id(),
            "timestamp": "2025-01-02T03:04:05.678Z",
            "properties": {
                "plan": random.choice(("free", "pro")),
                "path": f"/catalogue/{random.randrange(1000)}",
                "amount": round(random.random() * 100, 2),
                "items": random.randrange(20),
                "returning": random.random() < 0.5,
            },
            "groups": {"company": f"acme-{random.randrange(100)}"},
        }
        for _ in range(size)
    ]
    return {
        "batch_id": new_batch_id(),
        "sent_at": "2025-01-02T03:04:05.700Z",
        "sdk": {"name": "headwater-python", "version": "0.1.0"},
        "events": events,
    }


def make_intake() -> Intake:
    sites = SiteRegistry()
    sites.replace([Site(1, "example.com", frozenset({digest_key(KEY)}))])
    return Intake(
        sites=sites,
        gate=Gatekeeper(),
        end_users=EndUserSteps(DataFiles(Settings()).enrichment),
        journal=ForgetfulJournal(),
        metrics=Metrics("0"),
        clock=lambda: NOW_MS,
    )


def make_requests(name: str, size: int) -> list[Request]:
    encode, headers = FORMATS[name]
    headers = {b"x-headwater-key": KEY.encode(), **headers}
    return [
        Request(headers, encode(make_batch(size)), decode_ingest_events)
        for _ in range(max(1, EVENTS_PER_ROUND // size))
    ]


async def measure(intake: Intake, requests: Sequence[Request], size: int) -> float:
    """Returns µs of CPU per event over one round."""
    started = process_time()
    for request in requests:
        await intake.take(request)
    return (process_time() - started) * 1e6 / (len(requests) * size)


async def main() -> None:
    random.seed(1)
    cases = {case: make_requests(*case) for case in product(FORMATS, BATCH_SIZES)}
    intake = make_intake()
    times: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
    # Round by round over all cases, so that a disturbance hits all alike.
    for _ in range(ROUNDS):
        for case, requests in cases.items():
            times[case].append(await measure(intake, requests, case[1]))
    print(f"{'body':14}{'events':>8}{'bytes':>9}{'median':>9}{'min':>8}{'max':>8}")
    for (name, size), found in times.items():
        length = len(cases[name, size][0].body)
        print(
            f"{name:14}{size:8}{length:9}"
            f"{median(found):9.2f}{min(found):8.2f}{max(found):8.2f}"
        )
    print(
        f"µs of CPU per event; {ROUNDS} rounds of about {EVENTS_PER_ROUND} events each"
    )


if __name__ == "__main__":
    asyncio.run(main())
