"""Requests as they lie in a file for `wrk`, made before the measurement begins.

Native: batches of events with 5 properties and a group, every id used once. Web: page
views and signups of 20,000 visitors with the agents that browsers really send.
"""

import csv
import gzip
import os
import random
import shutil
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import zstandard
from benchmarks.load.sites import DOMAIN, SITE, Site

from headwater_schema.ids import new_batch_id, new_event_id

VISITORS: Final = 20_000
PAGES: Final = 5_000
SESSION_EVENTS: Final = 4

_AGENTS = Path(__file__).parents[2] / "packages/ingest/tests/enrich/data/agents.tsv"
_REFERRERS = (
    *("", "", "", "", "https://www.google.com/", "https://duckduckgo.com/"),
    *("https://news.example/item?id=7", "https://t.co/abc", "https://bench.example/"),
)
_TAGS = "?utm_source=newsletter&utm_medium=email&utm_campaign=week{n}"
_TAGGED: Final = 0.12
_JSON: Final = b"application/json"

Encode = Callable[[object], bytes]
FORMATS: Final[dict[str, tuple[Encode, bytes, bytes]]] = {
    "JSON": (msgspec.json.encode, _JSON, b""),
    "JSON, gzip": (
        lambda batch: gzip.compress(msgspec.json.encode(batch), 6),
        _JSON,
        b"gzip",
    ),
    "JSON, zstd": (
        lambda batch: zstandard.compress(msgspec.json.encode(batch), 3),
        _JSON,
        b"zstd",
    ),
    "MessagePack": (msgspec.msgpack.encode, b"application/msgpack", b""),
}
"""Encoder, content type and content encoding by name."""


def write_requests(path: Path, requests: Iterable[bytes]) -> None:
    """Writes requests for `wrk.lua`: length, then bytes, one after the other."""
    with path.open("wb") as file:
        for request in requests:
            file.write(struct.pack("<I", len(request)))
            file.write(request)


def write_native_requests(path: Path, count: int, events: int, **options: Any) -> None:
    """Writes what `native_requests` yields, made by all CPUs."""
    parts = [path.with_name(f"{path.name}.{n}") for n in range(os.cpu_count() or 1)]
    write = partial(_write_part, -(-count // len(parts)), events, options)
    with ProcessPoolExecutor() as pool:
        list(pool.map(write, parts, range(len(parts))))
    with path.open("wb") as file:
        for part in parts:
            with part.open("rb") as made:
                shutil.copyfileobj(made, file)
            part.unlink()


def _write_part(
    count: int, events: int, options: dict[str, Any], path: Path, seed: int
) -> None:
    write_requests(path, native_requests(count, events, seed=seed, **options))


def native_requests(  # noqa: PLR0913  # what a batch is made of, each named
    count: int,
    events: int,
    *,
    encoding: str = "JSON, gzip",
    with_sessions: bool = False,
    sites: Sequence[Site] = (SITE,),
    seed: int = 1,
) -> Iterator[bytes]:
    """Yields requests with a batch each, for any of the sites."""
    encode, kind, coding = FORMATS[encoding]
    headers = {b"Content-Type": kind}
    if coding:
        headers[b"Content-Encoding"] = coding
    chance = random.Random(seed)
    for _ in range(count):
        body = encode(make_batch(chance, events, with_sessions=with_sessions))
        key = {b"X-Headwater-Key": chance.choice(sites).key.encode()}
        yield _post(b"/ingest-events", headers | key, body)


def make_batch(
    chance: random.Random, events: int, *, with_sessions: bool
) -> dict[str, Any]:
    """Returns a batch of events of about 270 bytes each."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {
        "batch_id": new_batch_id(),
        "sent_at": now,
        "sdk": {"name": "headwater-python", "version": "0.1.0"},
        "events": [_make_event(chance, now, with_sessions) for _ in range(events)],
    }


def _make_event(chance: random.Random, now: str, with_sessions: bool) -> dict[str, Any]:  # noqa: FBT001
    user = chance.randrange(100_000)
    properties: dict[str, Any] = {
        "plan": chance.choice(("free", "pro", "team")),
        "path": f"/catalogue/{chance.randrange(1000)}",
        "amount": round(chance.random() * 100, 2),
        "items": chance.randrange(20),
        "returning": chance.random() < 0.5,
    }
    if with_sessions:
        session = chance.randrange(250_000 // SESSION_EVENTS)
        properties["$session_id"] = f"session-{session}"
    return {
        "event": chance.choice(("Page Viewed", "Order Completed", "Logged In")),
        "distinct_id": f"user-{user}",
        "event_id": new_event_id(),
        "timestamp": now,
        "properties": properties,
        "groups": {"company": f"acme-{user % 100}"},
    }


def web_requests(count: int, sites: Sequence[Site] = (SITE,)) -> Iterator[bytes]:
    """Yields requests with an event each, as the tracker sends them.

    Each visitor goes to one of the sites, which share the pages among them.
    """
    chance = random.Random(1)
    agents = chance.choices(*_read_agents(), k=VISITORS)
    visitors = [_visitor_headers(number, agent) for number, agent in enumerate(agents)]
    pages = max(1, PAGES // len(sites))
    for _ in range(count):
        visitor = chance.randrange(VISITORS)
        domain = sites[visitor % len(sites)].domain
        body = msgspec.json.encode(_make_web_event(chance, domain, pages))
        yield _post(b"/api/event", visitors[visitor], body)


def _make_web_event(chance: random.Random, domain: str, pages: int) -> dict[str, Any]:
    url = f"https://{domain}/articles/{chance.randrange(pages)}/a-title"
    if chance.random() < _TAGGED:
        url += _TAGS.format(n=chance.randrange(52))
    event: dict[str, Any] = {
        "n": "pageview",
        "u": url,
        "d": domain,
        "r": chance.choice(_REFERRERS),
    }
    if chance.random() < 0.2:
        event |= {"n": "Signup", "p": {"plan": "pro", "seats": 5, "trial": True}}
    return event


def _visitor_headers(number: int, agent: str) -> dict[bytes, bytes]:
    return {
        b"Content-Type": b"text/plain",
        b"User-Agent": agent.encode("latin-1", "replace"),
        b"Accept": b"*/*",
        b"Accept-Language": b"en-GB,en;q=0.9",
        b"Accept-Encoding": b"gzip, deflate, br",
        b"Origin": b"https://bench.example",
        b"Referer": b"https://bench.example/",
        b"X-Forwarded-For": f"81.2.{number // 250}.{number % 250 + 1}".encode(),
    }


def _read_agents() -> tuple[list[str], list[float]]:
    """Returns agents and how common each is."""
    with _AGENTS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    agents = [row["user_agent"] for row in rows]
    return agents, [float(row["weight"]) for row in rows]


def _post(path: bytes, headers: dict[bytes, bytes], body: bytes) -> bytes:
    lines = [
        b"POST %b HTTP/1.1" % path,
        b"Host: %b" % DOMAIN.encode(),
        *(b"%b: %b" % item for item in headers.items()),
        b"Content-Length: %d" % len(body),
    ]
    return b"\r\n".join((*lines, b"", body))
