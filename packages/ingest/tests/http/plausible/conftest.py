"""`/api/event` without a network, a disk or files of data, on a clock that is set."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from headwater_ingest.enrich.attribution import Attributor
from headwater_ingest.enrich.geo import NOWHERE, Place
from headwater_ingest.enrich.networks import NetworkSet
from headwater_ingest.enrich.sources_file import packaged_sources
from headwater_ingest.enrich.spam import SpamList
from headwater_ingest.enrich.user_agent import Device, DeviceReader
from headwater_ingest.http.event_trace import KeyholderTracer
from headwater_ingest.http.journal_buffer import JournalBuffer
from headwater_ingest.http.plausible import EventEndpoint
from headwater_ingest.http.routes import Application, event_route
from headwater_ingest.journal.counts import Count, Tally, tally
from headwater_ingest.journal.entry import Committed, Entry, Receipt
from headwater_ingest.pipeline.enrichment import Enrichment
from headwater_ingest.pipeline.web.pipeline import WebPipeline
from headwater_ingest.pipeline.web.steps import WebSteps
from headwater_ingest.rows import COLUMNS, decode_rows, merge_columns
from headwater_ingest.settings import Settings
from headwater_ingest.sites.gatekeeper import Gatekeeper
from headwater_ingest.sites.model import Site
from headwater_ingest.sites.registry import SiteRegistry
from headwater_ingest.telemetry.metrics import Metrics
from headwater_ingest.visitors.memory_store import MemorySessionStore
from headwater_ingest.web import count_accepted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater_ingest.enrich.client_hints import ClientHints
    from headwater_ingest.errors import JournalError

NOW_MS = 1_750_003_245_678
"""2025-06-15T16:00:45.678Z."""

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36"
)
PAGEVIEW = {"n": "pageview", "u": "https://www.example.com/a", "d": "example.com"}


class RowJournal:
    """Keeps what it is given.

    Attributes:
        blobs: The rows of each entry.
        counts: What became of events, by site, outcome and reason.
        error: What it raises instead of taking anything.
    """

    def __init__(self) -> None:
        self.blobs: list[bytes] = []
        self.counts: Tally = Counter()
        self.error: JournalError | None = None

    async def append(self, entry: Entry, /) -> Receipt:
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        assert not entry.batch_id
        self.blobs.append(entry.rows)
        self.counts.update(tally(entry.counts))
        return Committed()

    def count(self, count: Count, /) -> None:
        self.counts.update(tally([count]))


@dataclass
class Places:
    """Knows where some addresses are, and which of all it was asked for."""

    known: dict[str, Place] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def locate(self, ip: str) -> Place:
        self.asked.append(ip)
        return self.known.get(ip, NOWHERE)


@dataclass
class HostingRanges:
    """Knows some addresses of data centres."""

    known: set[str] = field(default_factory=set)

    def contain(self, ip: str) -> bool:
        return ip in self.known


class Devices:
    """Takes every agent with `bot` in its name for one, and knows one browser."""

    def read(self, user_agent: str, hints: ClientHints) -> Device | None:
        if "bot" in user_agent.lower():
            return None
        if "Chrome/" not in user_agent:
            return Device("", "", "", "", "")
        system = "Mac" if hints.platform == '"macOS"' else "Windows"
        return Device("Desktop", system, "10", "Chrome", "142.0")


@dataclass
class Salts:
    """The salts of one day and the day before."""

    today: bytes = b"t" * 16
    yesterday: bytes | None = None

    def current(self, now_ms: int) -> bytes:
        return self.today

    def previous(self, now_ms: int) -> bytes | None:
        return self.yesterday


@dataclass
class Door:
    """Says whether the node still takes requests."""

    refusing: bool = False


@dataclass
class WebEdge:
    """The route of web events and all that lies behind it.

    Attributes:
        site: The site `example.com`; there is also `example.org`.
        now_ms: What the clock says.
        peer: The other end of the connection; None for a Unix socket.
    """

    site: Site = field(default_factory=lambda: Site(7, "example.com", frozenset()))
    now_ms: int = NOW_MS
    peer: str = "127.0.0.1"
    journal: RowJournal = field(default_factory=RowJournal)
    metrics: Metrics = field(default_factory=lambda: Metrics("0"))
    door: Door = field(default_factory=Door)
    salts: Salts = field(default_factory=Salts)
    places: Places = field(default_factory=Places)
    devices: DeviceReader | Devices = field(default_factory=Devices)
    hosting: HostingRanges = field(default_factory=HostingRanges)

    def __post_init__(self) -> None:
        self.sites = SiteRegistry()
        self.change_site()
        self.enrichment = Enrichment(
            spam=SpamList(["spam.example"]),
            locator=self.places,
            data_centres=self.hosting,
            devices=self.devices,
            attributor=Attributor(packaged_sources()),
            rates={"USD": Decimal(1), "BRL": Decimal("0.7")},
        )
        self.gate = Gatekeeper(clock=lambda: self.now_ms)
        self.sessions = MemorySessionStore(
            clock_s=lambda: self.now_ms / 1000, max_sessions=1000
        )
        steps = WebSteps(
            self.enrichment, sites=self.sites, gate=self.gate, salts=self.salts
        )
        buffer = JournalBuffer(
            self.journal, partial(count_accepted, self.gate, self.metrics)
        )
        pipeline = WebPipeline(
            steps.ordered(),
            sessions=self.sessions,
            buffer=buffer,
            observe=self.metrics.observe_step,
        )
        tracer = KeyholderTracer(
            steps.ordered(), sites=self.sites, sessions=self.sessions, buffer=buffer
        )
        self.endpoint = EventEndpoint(
            pipeline,
            tracer=tracer,
            sites=self.sites,
            trusted=NetworkSet.parse(Settings().trusted_proxies),
            door=self.door,
            metrics=self.metrics,
            clock=lambda: self.now_ms,
        )
        self.app = Application(routes=[event_route(self.endpoint)])

    def change_site(self, **fields: Any) -> None:
        """Changes the site `example.com`."""
        self.site = replace(self.site, **fields)
        self.sites.replace([self.site, Site(8, "example.org", frozenset())])

    def send(
        self,
        body: object = PAGEVIEW,
        headers: Mapping[str, str | bytes] | None = None,
        *,
        method: str = "POST",
        target: str = "/api/event",
    ) -> httpx.Response:
        """Sends bytes as they are, and anything else as JSON that says it is text."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        sent = {"content-type": "text/plain", "user-agent": CHROME, **(headers or {})}
        pairs = [
            (name.encode(), value if isinstance(value, bytes) else value.encode())
            for name, value in sent.items()
        ]
        request = httpx.Request(
            method, f"http://node{target}", headers=pairs, content=content
        )
        return asyncio.run(self._ask(request))

    def take(
        self, headers: Mapping[str, str | bytes] | None = None, /, **fields: Any
    ) -> dict[str, Any]:
        """Sends a pageview with other fields, which must be taken; returns its row."""
        answer = self.send({**PAGEVIEW, **fields}, headers)
        assert (answer.status_code, answer.text) == (202, "ok"), answer.text
        assert "x-plausible-dropped" not in answer.headers, dropped(answer)
        return self.rows()[-1]

    def refuse(self, **fields: Any) -> dict[str, list[str]]:
        """Sends a pageview with other fields that must be faulty; returns the faults.

        A field that is `...` is left out.
        """
        body = {**PAGEVIEW, **fields}
        answer = self.send({name: body[name] for name in body if body[name] is not ...})
        assert answer.status_code == 400
        faults: dict[str, list[str]] = answer.json()["errors"]
        return faults

    def drop(
        self, headers: Mapping[str, str | bytes] | None = None, /, **fields: Any
    ) -> str:
        """Sends a pageview with other fields that must be dropped; returns why."""
        answer = self.send({**PAGEVIEW, **fields}, headers)
        assert (answer.status_code, answer.text) == (202, "ok")
        return dropped(answer)

    def rows(self) -> list[dict[str, Any]]:
        """Returns what the journal holds, row by row with every column."""
        names = [column.name for column in COLUMNS]
        columns = merge_columns([decode_rows(blob) for blob in self.journal.blobs])
        rows = [
            dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)
        ]
        return [{**row, "event_id": UUID(bytes=row["event_id"])} for row in rows]

    def counted(self, name: str, **labels: str) -> float:
        """Returns the value of a metric, summed over the labels that are not given."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.metrics.render().decode())
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=(self.peer, 40_000))
        answer = await transport.handle_async_request(request)
        await answer.aread()
        return answer


def dropped(answer: httpx.Response) -> str:
    """Returns the reasons that an answer names."""
    reasons: str = answer.headers.get("x-headwater-dropped", "")
    return reasons


@pytest.fixture
def web() -> WebEdge:
    """The route of web events, on a service that has taken nothing yet."""
    return WebEdge()


@pytest.fixture(scope="session")
def old_web() -> WebEdge:
    """The same on a service that may have taken anything before, with real agents."""
    return WebEdge(devices=DeviceReader())
