"""The edge of the service without a network and without a disk."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from headwater_ingest.enrich.attribution import Attributor
from headwater_ingest.enrich.data_centres import NoDataCentres
from headwater_ingest.enrich.geo import RegistryCountries
from headwater_ingest.enrich.sources_file import packaged_sources
from headwater_ingest.enrich.spam import SpamList
from headwater_ingest.enrich.user_agent import DeviceReader
from headwater_ingest.errors import JournalError
from headwater_ingest.http.intake import Intake
from headwater_ingest.http.routes import Application, ingest_routes
from headwater_ingest.journal.answers import count_as_duplicates
from headwater_ingest.journal.counts import (
    Count,
    Tally,
    tally,
    tally_as_repeat,
    tally_with_repeats,
)
from headwater_ingest.journal.entry import (
    Committed,
    Entry,
    PartlyRepeated,
    Receipt,
    Repeated,
    StoredAnswer,
    split_ids,
)
from headwater_ingest.pipeline.end_user import EndUserSteps
from headwater_ingest.pipeline.enrichment import Enrichment
from headwater_ingest.rows import (
    COLUMNS,
    decode_rows,
    encode_rows,
    keep_rows,
    merge_columns,
)
from headwater_ingest.sites.gatekeeper import Gatekeeper
from headwater_ingest.sites.model import Site, digest_key
from headwater_ingest.sites.registry import SiteRegistry
from headwater_ingest.telemetry.metrics import Metrics

Headers = Mapping[str, str] | Mapping[str, bytes] | Mapping[str, str | bytes]

KEY = "hw_key_of_the_first_site"
OTHER_KEY = "hw_key_of_the_second_site"
SITE_ID, OTHER_SITE_ID = 7, 8
NOW_MS = 1_735_787_045_678
"""2025-01-02T03:04:05.678Z, the time at which everything arrives."""


class MemoryJournal:
    """Judges repeats as the real journal does, and remembers for ever.

    Attributes:
        blobs: The rows of each entry that had any.
        counts: What became of events, by site, outcome and reason.
        error: What it raises instead of taking anything.
        is_forgetful: Batches leave the window while somebody asks for their answer.
        seen_through: What the entries are to carry.
    """

    def __init__(self) -> None:
        self.seen_through = 0
        self.blobs: list[bytes] = []
        self.counts: Tally = Counter()
        self.error: JournalError | None = None
        self.is_forgetful = False
        self._answers: dict[bytes, StoredAnswer] = {}
        self._ids: set[bytes] = set()

    def seen_batch(self, batch_id: bytes, /) -> bool:
        return batch_id in self._answers

    def seen_events(self, ids: Sequence[bytes], /) -> set[bytes]:
        return self._ids.intersection(ids)

    async def stored_answer(self, batch_id: bytes, /) -> StoredAnswer | None:
        await self._wait()
        return None if self.is_forgetful else self._answers.get(batch_id)

    async def append(self, entry: Entry, /) -> Receipt:
        await self._wait()
        stored = self._answers.get(entry.batch_id)
        if stored and stored.ids_digest == entry.ids_digest:
            self.counts.update(tally_as_repeat(entry.counts))
            return Repeated(stored)
        ids = split_ids(entry.event_ids)
        fresh = [place for place, each in enumerate(ids) if each not in self._ids]
        repeated = len(ids) - len(fresh)
        answer = count_as_duplicates(entry.answer, repeated)
        self.counts.update(tally_with_repeats(entry.counts, repeated))
        self._answers[entry.batch_id] = StoredAnswer(entry.ids_digest, answer)
        self._ids.update(ids)
        if fresh:
            self.blobs.append(encode_rows(keep_rows(decode_rows(entry.rows), fresh)))
        return PartlyRepeated(answer) if len(fresh) < len(ids) else Committed()

    def count(self, count: Count, /) -> None:
        self.counts.update(tally([count]))

    async def _wait(self) -> None:
        # Like the disk, it lets other requests go on meanwhile.
        await asyncio.sleep(0)
        if self.error:
            raise self.error


@dataclass
class Door:
    """Says whether the node still takes requests."""

    refusing: bool = False


def _make_enrichment() -> Enrichment:
    return Enrichment(
        spam=SpamList(["spam.example"]),
        locator=RegistryCountries(),
        data_centres=NoDataCentres(),
        devices=DeviceReader(),
        attributor=Attributor(packaged_sources()),
        rates={},
    )


@dataclass
class Edge:
    """The routes of the service, on a journal in memory and a clock that stands still.

    Attributes:
        now_ms: What the clock says.
    """

    journal: MemoryJournal = field(default_factory=MemoryJournal)
    metrics: Metrics = field(default_factory=lambda: Metrics("0"))
    door: Door = field(default_factory=Door)
    now_ms: int = NOW_MS

    def __post_init__(self) -> None:
        self.gate = Gatekeeper(clock=lambda: self.now_ms)
        self.sites = SiteRegistry()
        self.sites.replace(
            [
                Site(SITE_ID, "example.com", frozenset({digest_key(KEY)})),
                Site(OTHER_SITE_ID, "example.org", frozenset({digest_key(OTHER_KEY)})),
            ]
        )
        intake = Intake(
            sites=self.sites,
            gate=self.gate,
            end_users=EndUserSteps(_make_enrichment()),
            journal=self.journal,
            metrics=self.metrics,
            clock=lambda: self.now_ms,
        )
        self.app = Application(
            routes=ingest_routes(intake, door=self.door, metrics=self.metrics)
        )

    def post(
        self,
        body: object,
        path: str = "/ingest-events",
        *,
        key: str | None = KEY,
        headers: Headers | None = None,
    ) -> httpx.Response:
        """Posts bytes as they are, and anything else as JSON."""
        (answer,) = self.post_together([body], path, key=key, headers=headers)
        return answer

    def post_together(
        self,
        bodies: Iterable[object],
        path: str = "/ingest-events",
        *,
        key: str | None = KEY,
        headers: Headers | None = None,
    ) -> list[httpx.Response]:
        """Posts several bodies side by side."""
        headers = {**({"X-Headwater-Key": key} if key else {}), **(headers or {})}
        sent = [
            (name.encode(), value if isinstance(value, bytes) else value.encode())
            for name, value in headers.items()
        ]
        contents = [
            body if isinstance(body, bytes) else msgspec.json.encode(body)
            for body in bodies
        ]

        async def post(client: httpx.AsyncClient) -> list[httpx.Response]:
            posts = (
                client.post(path, content=content, headers=sent) for content in contents
            )
            return await asyncio.gather(*posts)

        return self._run(post)

    def request(self, method: str, path: str) -> httpx.Response:
        """Sends a request without a body."""

        async def request(client: httpx.AsyncClient) -> list[httpx.Response]:
            return [await client.request(method, path)]

        (answer,) = self._run(request)
        return answer

    def take(self, *events: object, **envelope: object) -> dict[str, Any]:
        """Posts a batch that must be taken, and returns the data of the answer."""
        answer = self.post({"events": list(events), **envelope})
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

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

    def _run(
        self,
        ask: Callable[[httpx.AsyncClient], Awaitable[list[httpx.Response]]],
    ) -> list[httpx.Response]:
        async def run() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://node", trust_env=False
            ) as client:
                return await ask(client)

        return asyncio.run(run())


@pytest.fixture
def edge() -> Edge:
    """The routes of a service that has taken nothing yet."""
    return Edge()


@pytest.fixture(scope="session")
def new_edge() -> type[Edge]:
    """Makes as many of these as an example needs one."""
    return Edge


@pytest.fixture(scope="session")
def old_edge() -> Edge:
    """The routes of a service that may have taken anything before."""
    return Edge()
