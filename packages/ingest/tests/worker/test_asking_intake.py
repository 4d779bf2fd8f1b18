"""What clients are told and what is counted, by one process and by two workers."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from tests.joined_worker import join, make_desk

from headwater_ingest.enrich.attribution import Attributor
from headwater_ingest.enrich.data_centres import NoDataCentres
from headwater_ingest.enrich.geo import RegistryCountries
from headwater_ingest.enrich.sources_file import packaged_sources
from headwater_ingest.enrich.spam import SpamList
from headwater_ingest.enrich.user_agent import DeviceReader
from headwater_ingest.errors import OwnerGoneError
from headwater_ingest.http.intake import Intake, Request
from headwater_ingest.http.native import Taker, decode_ingest_events
from headwater_ingest.http.refusal import RequestRefusedError
from headwater_ingest.journal import Journal
from headwater_ingest.pipeline.end_user import EndUserSteps
from headwater_ingest.pipeline.enrichment import Enrichment
from headwater_ingest.sites.gatekeeper import Gatekeeper
from headwater_ingest.sites.model import Site, digest_key
from headwater_ingest.sites.registry import SiteRegistry
from headwater_ingest.telemetry.metrics import Metrics
from headwater_ingest.worker.asking_intake import AskingIntake
from headwater_ingest.worker.remote_journal import KnownPart, RemoteJournal
from headwater_schema.outcomes import ErrorCode

KEYS = ("hw_key_without_limits", "hw_key_with_limits")
SITES = (
    Site(1, "free.example", frozenset({digest_key(KEYS[0])})),
    Site(
        2,
        "limited.example",
        frozenset({digest_key(KEYS[1])}),
        rate_limit=5,
        monthly_quota=12,
    ),
)
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
COUNTED = (
    "headwater_events_total",
    "headwater_client_losses_total",
    "headwater_properties_refused_total",
)


@dataclass(frozen=True)
class Sent:
    """A batch: which worker gets it, its site and ids, and what is odd about it."""

    worker: int
    site: int
    batch: int
    events: list[int]
    is_invalid: bool
    is_bot: bool
    losses: int

    def encode(self) -> bytes:
        events: list[dict[str, Any]] = [
            {"event": "e", "distinct_id": "u", "event_id": str(UUID(int=each))}
            for each in self.events
        ]
        if self.is_invalid and events:
            events[-1]["timestamp"] = 1  # long before 2000
        if self.is_bot and events:
            events[0]["properties"] = {"$user_agent": GOOGLEBOT}
        losses = {"client_losses": {"queue_full": self.losses}} if self.losses else {}
        body = {"batch_id": str(UUID(int=self.batch)), "events": events, **losses}
        return msgspec.json.encode(body)


SENT = st.builds(
    Sent,
    worker=st.integers(0, 1),
    site=st.integers(0, 1),
    batch=st.integers(0, 4),
    events=st.lists(st.integers(1, 12), max_size=7),
    is_invalid=st.booleans(),
    is_bot=st.booleans(),
    losses=st.integers(0, 2),
)


@dataclass
class Surroundings:
    """What both kinds of intake stand on."""

    journal: Journal
    metrics: Metrics
    remotes: list[RemoteJournal] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sites = SiteRegistry()
        self.sites.replace(SITES)
        self.gate = Gatekeeper(clock=lambda: 5)
        self.end_users = EndUserSteps(
            Enrichment(
                spam=SpamList([]),
                locator=RegistryCountries(),
                data_centres=NoDataCentres(),
                devices=DEVICES,
                attributor=ATTRIBUTOR,
                rates={},
            )
        )


DEVICES = DeviceReader()
ATTRIBUTOR = Attributor(packaged_sources())

Open = Callable[[Surroundings, AsyncExitStack], Any]
Story = tuple[list[object], dict[Any, int], dict[str, float]]


def _open_journal(directory: Path) -> closing[Journal]:
    return closing(Journal.open(directory, max_bytes=1 << 26))


@asynccontextmanager
async def surroundings() -> AsyncIterator[Surroundings]:
    with tempfile.TemporaryDirectory() as name, _open_journal(Path(name)) as journal:
        yield Surroundings(journal, Metrics("0"))


def open_intake(around: Surroundings) -> Intake:
    return Intake(
        sites=around.sites,
        gate=around.gate,
        end_users=around.end_users,
        journal=around.journal,
        metrics=around.metrics,
    )


def open_asking_intake(around: Surroundings, journal: RemoteJournal) -> AskingIntake:
    return AskingIntake(
        sites=around.sites,
        gate=around.gate,
        end_users=around.end_users,
        journal=journal,
        metrics=around.metrics,
    )


async def take(intake: Taker, sent: Sent) -> object:
    headers = {b"x-headwater-key": KEYS[sent.site].encode()}
    try:
        answer = await intake.take(
            Request(headers, sent.encode(), decode_ingest_events)
        )
    except RequestRefusedError as refusal:
        return refusal.code, refusal.retry_after_s
    return msgspec.json.decode(answer)


async def tell(around: Surroundings, intakes: list[Taker], sent: list[Sent]) -> Story:
    answers = [await take(intakes[each.worker], each) for each in sent]
    for journal in around.remotes:
        await journal.look_up(b"", ())  # what was told before has arrived with this
    await around.journal.flush_counts()
    families = text_string_to_metric_families(around.metrics.render().decode())
    counted = {
        f"{sample.name}{sample.labels}": sample.value
        for family in families
        for sample in family.samples
        if sample.name in COUNTED
    }
    return answers, dict(+around.journal.accounts().events), counted


async def tell_of_one_process(sent: list[Sent]) -> Story:
    async with surroundings() as around:
        intake = open_intake(around)
        return await tell(around, [intake, intake], sent)


async def tell_of_workers(sent: list[Sent]) -> Story:
    async with surroundings() as around, AsyncExitStack() as stack:
        desk = make_desk(around.journal)
        intakes: list[Taker] = []
        for _ in range(2):
            link, _owner = await stack.enter_async_context(join(desk))
            around.remotes.append(RemoteJournal(link))
            intakes.append(open_asking_intake(around, around.remotes[-1]))
        return await tell(around, intakes, sent)


@settings(max_examples=60)
@given(st.lists(SENT, min_size=1, max_size=8))
def test_workers_tell_the_same_story_as_one_process(sent: list[Sent]) -> None:
    expected = asyncio.run(tell_of_one_process(sent))
    found = asyncio.run(tell_of_workers(sent))

    assert found == expected


def test_a_batch_without_anything_odd_goes_to_the_owner_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []
    look_up = RemoteJournal.look_up

    async def watch(
        journal: RemoteJournal, batch_id: bytes, ids: Iterable[bytes]
    ) -> KnownPart:
        asked.extend([batch_id] if batch_id else [])
        return await look_up(journal, batch_id, ids)

    monkeypatch.setattr(RemoteJournal, "look_up", watch)
    plain = Sent(0, 0, 1, [1, 2], is_invalid=False, is_bot=False, losses=0)

    answers, _, _ = asyncio.run(tell_of_workers([plain, plain]))

    assert asked == []
    assert [answer["data"]["duplicates"] for answer in answers] == [0, 2]  # type: ignore[index]


def test_a_batch_is_refused_for_now_when_nobody_can_say_what_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_arguments: object) -> None:
        raise OwnerGoneError("gone")

    monkeypatch.setattr(RemoteJournal, "look_up", fail)

    async def take_limited() -> object:
        async with surroundings() as around, join(make_desk(around.journal)) as joined:
            intake = open_asking_intake(around, RemoteJournal(joined[0]))
            limited = Sent(0, 1, 1, [1, 2], is_invalid=False, is_bot=False, losses=0)
            return await take(intake, limited)

    assert asyncio.run(take_limited()) == (ErrorCode.JOURNAL_FULL, 5)
