"""What an event of `/api/event` costs in the pipeline: step by step, and in a stream.

Measured is what lies between HTTP and the journal: the fields of the body, the client,
the steps, the session, and the row as the journal takes it. The journal is a fake that
takes everything at once. Each part is timed in a loop of its own over all requests, the
whole in one loop: there, what a request needs has to be fetched from farther away, so
the whole takes longer than the sum of its parts. It has to stay below 45 µs.

The steps see few visitors and pages, so that everything is warm. The stream is that of
`bench_sustained`: 20,000 visitors begin their sessions and go on, pages and addresses
fall out of the caches. It goes through the endpoint itself, 32 requests at a time; its
floor is an endpoint that decodes the body. Two thirds of it are measured.

    .venv/bin/python -m benchmarks.bench_web [--runs N] [--streams N] [--city FILE]
        [--asn FILE]
"""

import argparse
import asyncio
import gc
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any, TypeVar

import msgspec
import uvloop
from benchmarks.load.floor import Floor
from benchmarks.load.requests import web_requests
from benchmarks.load.sites import DOMAIN
from starlette.types import ASGIApp, Message, Scope

from headwater_ingest.data_files import DataFiles
from headwater_ingest.enrich.address import read_client
from headwater_ingest.enrich.client_hints import ClientHints
from headwater_ingest.enrich.networks import NetworkSet
from headwater_ingest.http.answer import Answer
from headwater_ingest.http.event_trace import KeyholderTracer
from headwater_ingest.http.journal_buffer import JournalBuffer
from headwater_ingest.http.plausible import EventEndpoint
from headwater_ingest.http.plausible_usual import read_usual
from headwater_ingest.journal.counts import Count
from headwater_ingest.journal.entry import Committed, Entry, Receipt
from headwater_ingest.pipeline.web.columns import gather_rows
from headwater_ingest.pipeline.web.event import WebEvent
from headwater_ingest.pipeline.web.pipeline import Buffer, WebPipeline, make_row
from headwater_ingest.pipeline.web.request import WebFields, WebRequest
from headwater_ingest.pipeline.web.steps import WebSteps
from headwater_ingest.rows import Row
from headwater_ingest.settings import Settings
from headwater_ingest.sites.gatekeeper import Gatekeeper
from headwater_ingest.sites.model import Site
from headwater_ingest.sites.registry import SiteRegistry
from headwater_ingest.sites.shields import Shields
from headwater_ingest.telemetry.metrics import Metrics
from headwater_ingest.visitors.memory_store import MemorySessionStore
from headwater_ingest.visitors.salts import Salts
from headwater_ingest.visitors.sessions import Session, Visit
from headwater_ingest.web import count_accepted
from headwater_schema.outcomes import Reason

REQUESTS = 5_000
STREAM = 60_000
TOGETHER = 32
GATHERED = 16
VISITORS = 1_000
PAGES = 500
MUST_US = 45.0
NOW_MS = 1_750_000_000_000

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/{n}.0.0.0 Safari/537.36"
)
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_{n} like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.{n} Mobile/15E148 Safari/604.1"
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:{n}.0) Gecko/20100101 Firefox/{n}.0"
REFERRERS = ("", "", "", "https://www.google.com/", "https://news.example/item?id={n}")
TAGS = ("", "", "", "", "?utm_source=newsletter&utm_medium=email&utm_campaign=week{n}")

T = TypeVar("T")
Sent = tuple[Mapping[str, str], bytes]
Request = tuple[Scope, bytes]
AskAll = Callable[[Sequence[Request]], Awaitable[None]]


class ForgetfulJournal:
    """Takes every entry and keeps none."""

    async def append(self, _entry: Entry) -> Receipt:
        """Is done at once."""
        return Committed()

    def count(self, _count: Count) -> None:
        """Counts nothing."""


class Gatherer:
    """Makes an entry of every few rows, as the buffer does under load."""

    def __init__(self) -> None:
        self._rows: list[Row] = []

    def put(
        self, rows: Sequence[Row], done: Callable[[Exception | None], object]
    ) -> None:
        """Is done at once."""
        done(None)
        self._rows += rows
        if len(self._rows) == GATHERED:
            gather_rows(self._rows)
            self._rows.clear()

    def count_dropped(self, site_id: int, reason: Reason) -> None:
        """Counts nothing."""


class Node:
    """All that lies between HTTP and the journal, as `serve` puts it together."""

    def __init__(self, settings: Settings) -> None:
        self._trusted = NetworkSet.parse(settings.trusted_proxies)
        gate = Gatekeeper()
        self.sites = make_sites()
        steps = WebSteps(
            DataFiles(settings).enrichment, sites=self.sites, gate=gate, salts=Salts()
        )
        self.steps = steps.ordered()
        self.sessions = MemorySessionStore(
            clock_s=time.monotonic, max_sessions=settings.max_sessions
        )
        self.journal = JournalBuffer(
            ForgetfulJournal(), partial(count_accepted, gate, Metrics("0"))
        )
        self.pipeline = self.make_pipeline(Gatherer())

    def make_pipeline(self, buffer: Buffer) -> WebPipeline:
        """Returns all steps, and where they lead to."""
        return WebPipeline(
            self.steps,
            sessions=self.sessions,
            buffer=buffer,
            observe=lambda _step, _seconds: None,
        )

    def read_fields(self, sent: Sent) -> WebFields:
        """Reads what the body says."""
        fields = read_usual(sent[1])
        if fields is None:
            raise ValueError(sent)
        return fields

    def make_request(self, sent: Sent, fields: WebFields) -> WebRequest:
        """Adds what the headers say."""
        headers = sent[0]
        return WebRequest(
            received_at_ms=NOW_MS,
            time_s=NOW_MS // 1000,
            fields=fields,
            user_agent=headers["user-agent"],
            hints=ClientHints.from_headers(headers),
            client=read_client(headers, "127.0.0.1", trusted=self._trusted),
        )

    def register(self, event: WebEvent) -> Session:
        """Finds the session."""
        session = self.sessions.register(visit_of(event))
        if not isinstance(session, Session):
            raise TypeError(session)
        return session

    def take(self, sent: Sent) -> None:
        """Does all of it."""
        request = self.make_request(sent, self.read_fields(sent))
        self.pipeline.take([(request, lambda _outcome: None)])

    def make_endpoint(self) -> EventEndpoint:
        """Returns what `serve` has for the route."""
        return EventEndpoint(
            self.make_pipeline(self.journal),
            trusted=self._trusted,
            door=OpenDoor(),
            metrics=Metrics("0"),
            tracer=KeyholderTracer(
                self.steps,
                sites=self.sites,
                sessions=self.sessions,
                buffer=self.journal,
            ),
            sites=self.sites,
        )


class OpenDoor:
    """Lets everybody in."""

    refusing = False


def make_sites() -> SiteRegistry:
    shields = Shields.from_rules(
        addresses=["198.51.100.0/24", "2001:db8::/32"],
        countries=["AQ", "BV"],
        pages=["/internal/*", "/admin/*", "/preview"],
        hostnames=["example.com", "*.example.com"],
    )
    sites = SiteRegistry()
    site = Site(
        1,
        "example.com",
        frozenset(),
        shields=shields,
        revenue_goals={"Purchase": "EUR"},
        rate_limit=1_000_000_000,
    )
    sites.replace([site, Site(2, DOMAIN, frozenset())])
    return sites


def make_sent(chance: random.Random) -> Sequence[Sent]:
    """Returns requests of some visitors on some pages, in random order."""
    visitors = [make_headers(chance, number) for number in range(VISITORS)]
    pages = [make_url(chance, number) for number in range(PAGES)]
    sent = []
    for _ in range(REQUESTS):
        body: dict[str, object] = {
            "n": chance.choice(["pageview", "pageview", "pageview", "Signup"]),
            "u": chance.choice(pages),
            "d": "example.com",
            "r": chance.choice(REFERRERS).format(n=chance.randrange(50)),
        }
        if body["n"] == "Signup":
            body["p"] = {"plan": "pro", "seats": 5, "trial": True}
        sent.append((chance.choice(visitors), msgspec.json.encode(body)))
    return sent


def make_headers(chance: random.Random, number: int) -> dict[str, str]:
    agent = chance.choice([CHROME, SAFARI, FIREFOX]).format(
        n=chance.randrange(100, 145)
    )
    return {
        "host": "example.com",
        "content-type": "text/plain",
        "user-agent": agent,
        "accept": "*/*",
        "accept-language": "en-GB,en;q=0.9",
        "sec-ch-ua": '"Chromium";v="142", "Google Chrome";v="142"',
        "sec-ch-ua-mobile": "?0",
        "sec-ch-ua-platform": '"Windows"',
        "x-forwarded-for": f"81.2.{number // 250}.{number % 250 + 1}",
    }


def make_url(chance: random.Random, number: int) -> str:
    tags = chance.choice(TAGS).format(n=number % 52)
    return f"https://www.example.com/articles/{number}/a-title-of-some-length{tags}"


def visit_of(event: WebEvent) -> Visit:
    return Visit(1, event.user_id, None, NOW_MS // 1000, False, event.make_facts)  # noqa: FBT003


def time_whole(node: Node, sent: Sequence[Sent]) -> float:
    """Returns µs of CPU per request."""
    started = process_time()
    for each in sent:
        node.take(each)
    return (process_time() - started) / len(sent) * 1e6


async def ask(app: ASGIApp, scope: Scope, body: bytes) -> None:
    """Sends a request to an application that must take it."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message.get("status", 200) >= 300:
            raise ValueError(message)

    await app(scope, receive, send)


async def ask_floor(floor: Floor, together: Sequence[Request]) -> None:
    """Sends requests to the floor, all at once."""
    await asyncio.gather(*(ask(floor, *each) for each in together))


async def ask_endpoint(endpoint: EventEndpoint, together: Sequence[Request]) -> None:
    """Sends requests to the endpoint, all at once, as the protocol does."""
    answers: list[asyncio.Future[Answer]] = [asyncio.Future() for _ in together]
    for (scope, body), answer in zip(together, answers, strict=True):
        endpoint.take(scope["headers"], body, "127.0.0.1", answer.set_result)
    for answer in answers:
        if (found := await answer).status >= 300:
            raise ValueError(found)


async def time_stream(ask_all: AskAll) -> float:
    """Returns µs of CPU per request of the last two thirds of the stream."""
    sent = [split_request(each) for each in web_requests(STREAM)]
    started = 0.0
    for first in range(0, STREAM, TOGETHER):
        if first <= STREAM // 3:
            started = process_time()
            begun_at = first
        await ask_all(sent[first : first + TOGETHER])
    return (process_time() - started) / (STREAM - begun_at) * 1e6


def split_request(request: bytes) -> Request:
    """Returns a request as an application sees it."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = (line.partition(b": ") for line in head.split(b"\r\n")[1:])
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/event",
        "query_string": b"",
        "client": ("127.0.0.1", 40_000),
        "headers": [(name.lower(), value) for name, _, value in lines],
    }
    return scope, body


def time_streams(settings: Settings, runs: int) -> dict[str, list[float]]:
    """Returns the figures of floor and endpoint, which take turns."""
    times: dict[str, list[float]] = {"floor": [], "endpoint": []}
    for _ in range(runs):
        node = Node(settings)
        floor = partial(ask_floor, Floor("web"))
        endpoint = partial(ask_endpoint, node.make_endpoint())
        times["floor"].append(uvloop.run(time_stream(floor)))
        times["endpoint"].append(uvloop.run(time_stream(endpoint)))
    return times


def time_parts(node: Node, sent: Sequence[Sent]) -> dict[str, float]:
    """Returns µs of CPU per request of each part."""
    times: dict[str, float] = {}

    def measure(part: str, call: Callable[..., T], *inputs: Iterable[Any]) -> list[T]:
        started = process_time()
        found = list(map(call, *inputs))
        times[part] = (process_time() - started) / len(sent) * 1e6
        return found

    fields = measure("read fields", node.read_fields, sent)
    requests = measure("read client", node.make_request, sent, fields)
    events = [WebEvent(each, "example.com") for each in requests]
    for name, step in node.steps:
        measure(name, step, events)
    sessions = measure("register_session", node.register, events)
    rows = measure("make row", make_row, events, sessions)
    parts = [rows[first : first + GATHERED] for first in range(0, len(rows), GATHERED)]
    measure("gather rows", gather_rows, parts)
    return times


def cell(values: Sequence[float]) -> str:
    return f"{median(values):7.2f} ({min(values):.2f}-{max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--streams", type=int, default=2, help="runs of the stream")
    parser.add_argument("--city", type=Path, help="a city database (.mmdb)")
    parser.add_argument("--asn", type=Path, help="a database of networks (.mmdb)")
    arguments = parser.parse_args()
    settings = Settings(geoip_city_file=arguments.city, geoip_asn_file=arguments.asn)
    node = Node(settings)
    sent = make_sent(random.Random(1))
    time_whole(node, sent)
    gc.collect()
    gc.freeze()
    wholes, parts = [], []
    for _ in range(arguments.runs):
        parts.append(time_parts(node, sent))
        wholes.append(time_whole(node, sent))
    print(f"{'µs of CPU per event':28}  median (min-max)")
    for name in parts[0]:
        print(f"{name:28}{cell([each[name] for each in parts])}")
    print(f"{'sum of the parts':28}{cell([sum(each.values()) for each in parts])}")
    print(f"{'the whole':28}{cell(wholes)}, to stay below {MUST_US:.0f}")
    for name, times in time_streams(settings, arguments.streams).items():
        print(f"{'the stream, ' + name:28}{cell(times)}")


if __name__ == "__main__":
    main()
