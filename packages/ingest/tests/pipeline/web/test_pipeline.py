"""`build_and_buffer`, with steps and stores that a test sets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from headwater_ingest.enrich.address import Client
from headwater_ingest.enrich.client_hints import NO_HINTS
from headwater_ingest.enrich.currency import Revenue
from headwater_ingest.enrich.url import Page
from headwater_ingest.errors import OwnerGoneError
from headwater_ingest.pipeline.web.event import FACT_COLUMNS, WebEvent
from headwater_ingest.pipeline.web.pipeline import Dropped, Result, WebPipeline
from headwater_ingest.pipeline.web.request import WebFields, WebRequest
from headwater_ingest.pipeline.web.steps import WebSteps
from headwater_ingest.rows import COLUMNS, Row, decode_rows, encode_row
from headwater_ingest.sites.model import Site
from headwater_ingest.telemetry.definitions import PIPELINE_STEPS
from headwater_ingest.visitors.sessions import Session, Visit
from headwater_schema.outcomes import Reason

SITES = {"a.example": Site(1, "a.example", frozenset())}
SITES["b.example"] = Site(2, "b.example", frozenset())


def make_request(*domains: str, name: str = "pageview") -> WebRequest:
    fields = WebFields(
        name=name,
        url="https://a.example/x",
        page=Page("a.example", "/x"),
        domains=domains,
        referrer="",
        props={},
        truncated_props=0,
        money=None,
        is_interactive=True,
        scroll_depth=0,
        engagement_time_ms=0,
        script_version=0,
    )
    return WebRequest(
        received_at_ms=1_750_000_000_999,
        time_s=1_750_000_000,
        fields=fields,
        user_agent="",
        hints=NO_HINTS,
        client=Client("192.0.2.1", ""),
    )


@dataclass
class Parts:
    """What a pipeline is made of.

    Attributes:
        seen: The names of the steps that were taken, with the domain.
        drops: Why a step drops the events of a domain.
        visits: What the session store was asked.
        answer: What it answered.
        rows: What was buffered, one list per call.
        timed: What was observed.
        counted: The drops that were counted.
    """

    seen: list[tuple[str, str]] = field(default_factory=list)
    drops: dict[tuple[str, str], Reason] = field(default_factory=dict)
    visits: list[Visit] = field(default_factory=list)
    answer: Session | Reason = field(
        default_factory=lambda: Session(5, 6, 1_750_000_000, {})
    )
    rows: list[list[Row]] = field(default_factory=list)
    timed: list[str] = field(default_factory=list)
    counted: list[tuple[int, Reason]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pipeline = WebPipeline(
            [("put_site", self.put_site), ("first", self.first), ("last", self.last)],
            sessions=self,
            buffer=self,
            observe=lambda name, seconds: self.timed.append(name),
        )

    def run(self, request: WebRequest) -> Result:
        return asyncio.run(self.pipeline.build_and_buffer(request))

    def put_site(self, event: WebEvent) -> None:
        event.site = SITES[event.domain]

    def first(self, event: WebEvent) -> Reason | None:
        return self._step("first", event)

    def last(self, event: WebEvent) -> Reason | None:
        return self._step("last", event)

    async def register(self, visit: Visit) -> Session | Reason:
        self.visits.append(visit)
        return self.answer

    def put(
        self, rows: Sequence[Row], done: Callable[[Exception | None], object]
    ) -> None:
        self.rows.append(list(rows))
        done(None)

    def count_dropped(self, site_id: int, reason: Reason) -> None:
        self.counted.append((site_id, reason))

    def _step(self, name: str, event: WebEvent) -> Reason | None:
        self.seen.append((name, event.domain))
        return self.drops.get((name, event.domain))


@pytest.fixture
def parts() -> Parts:
    return Parts()


def test_every_event_takes_the_steps_in_order(parts: Parts) -> None:
    result = parts.run(make_request("a.example", "b.example"))

    assert parts.seen == [
        ("first", "a.example"),
        ("last", "a.example"),
        ("first", "b.example"),
        ("last", "b.example"),
    ]
    assert result == Result(["a.example", "b.example"], [])


def test_all_rows_of_a_request_are_buffered_at_once(parts: Parts) -> None:
    parts.run(make_request("a.example", "b.example"))

    ((first, second),) = parts.rows
    assert (first.columns["site_id"], second.columns["site_id"]) == (1, 2)
    assert first.event_id != second.event_id


def test_the_first_drop_ends_the_way_of_that_event_only(parts: Parts) -> None:
    parts.drops = {
        ("first", "a.example"): Reason.BOT,
        ("last", "a.example"): Reason.BLOCK,
    }

    result = parts.run(make_request("a.example", "b.example"))

    assert ("last", "a.example") not in parts.seen
    assert result.dropped == [Dropped(1, "a.example", Reason.BOT)]
    assert result.buffered == ["b.example"]
    assert [visit.site_id for visit in parts.visits] == [2]
    assert parts.counted == [(1, Reason.BOT)]


def test_nothing_is_buffered_when_all_is_dropped(parts: Parts) -> None:
    parts.drops = {("first", "a.example"): Reason.BOT}

    parts.run(make_request("a.example"))

    assert parts.rows == []


@pytest.mark.parametrize(
    "reason", [Reason.NO_SESSION_FOR_ENGAGEMENT, Reason.LOCK_TIMEOUT]
)
def test_an_event_without_a_session_is_dropped(parts: Parts, reason: Reason) -> None:
    parts.answer = reason

    result = parts.run(make_request("a.example"))

    assert result.dropped == [Dropped(1, "a.example", reason)]
    assert parts.rows == []


@pytest.mark.parametrize("name,is_engagement", [("a", False), ("engagement", True)])
def test_only_an_engagement_merely_prolongs(
    parts: Parts, name: str, *, is_engagement: bool
) -> None:
    parts.run(make_request("a.example", name=name))

    (visit,) = parts.visits
    assert visit.prolongs_only is is_engagement
    assert visit.time_s == 1_750_000_000


def test_a_row_says_what_its_session_says(parts: Parts) -> None:
    facts: dict[str, str | int] = {name: f"fact {name}" for name in FACT_COLUMNS}
    parts.answer = Session(77, 88, 1_750_000_000, facts)

    parts.run(make_request("a.example"))

    ((row,),) = parts.rows
    assert {name: row.columns[name] for name in FACT_COLUMNS} == facts
    assert (row.columns["session_id"], row.columns["user_id"]) == (77, 88)
    assert row.columns["timestamp"] == 1_750_000_000_000
    assert row.columns["received_at"] == 1_750_000_000_999


def test_a_row_has_columns_of_the_table_only(parts: Parts) -> None:
    def earn(event: WebEvent) -> None:
        event.site = SITES["a.example"]
        event.revenue = Revenue(None, "EUR", None, "USD")

    parts.pipeline = WebPipeline(
        [("earn", earn)], sessions=parts, buffer=parts, observe=lambda *_: None
    )
    parts.run(make_request("a.example"))

    ((row,),) = parts.rows
    assert {*row.columns, "event_id"} <= {column.name for column in COLUMNS}
    assert decode_rows(encode_row(row)).event_id == [row.event_id]


def test_a_column_that_has_its_default_is_not_there(parts: Parts) -> None:
    parts.run(make_request("a.example"))

    ((row,),) = parts.rows
    defaults = {column.name: column.default for column in COLUMNS}
    assert not [name for name, value in row.columns.items() if value == defaults[name]]


class Store:
    """A session store that answers at once, but for the sites that it has to ask for.

    Attributes:
        asked: The questions that wait for an answer, by site.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.asked: dict[int, asyncio.Future[Session]] = {}

    def register(self, visit: Visit) -> Session | asyncio.Future[Session]:
        self._parts.seen.append(("register", f"site {visit.site_id}"))
        if visit.site_id in self.asked:
            return self.asked[visit.site_id]
        if isinstance(self._parts.answer, Session):
            return self._parts.answer
        raise RuntimeError("no session")


def take_together(
    parts: Parts,
    *requests: WebRequest,
    waiting: int | None = None,
    error: Exception | None = None,
) -> list[Result | Exception]:
    """Takes requests that came together; those of the waiting site get theirs last.

    Theirs is an error, if there is one.
    """
    settled: list[Result | Exception] = []

    async def run() -> None:
        are_all = asyncio.Event()

        def settle(outcome: Result | Exception) -> None:
            settled.append(outcome)
            if len(settled) == len(requests):
                are_all.set()

        store = Store(parts)
        if waiting:
            store.asked[waiting] = asyncio.get_running_loop().create_future()
        parts.pipeline = WebPipeline(
            [("put_site", parts.put_site), ("first", parts.first)],
            sessions=store,
            buffer=parts,
            observe=lambda *_: None,
        )
        parts.pipeline.take([(each, settle) for each in requests])
        if waiting:
            assert len(settled) == len(requests) - 1
            if error:
                store.asked[waiting].set_exception(error)
            else:
                store.asked[waiting].set_result(Session(7, 7, 1_750_000_000, {}))
        await asyncio.wait_for(are_all.wait(), 60)

    asyncio.run(run())
    return settled


def test_requests_that_came_together_take_each_part_of_the_way_together(
    parts: Parts,
) -> None:
    settled = take_together(parts, make_request("a.example"), make_request("b.example"))

    assert parts.seen == [
        ("first", "a.example"),
        ("first", "b.example"),
        ("register", "site 1"),
        ("register", "site 2"),
    ]
    assert settled == [Result(["a.example"]), Result(["b.example"])]


def test_no_request_overtakes_one_for_several_sites(parts: Parts) -> None:
    take_together(
        parts,
        make_request("a.example"),
        make_request("a.example", "b.example"),
        make_request("b.example", name="engagement"),
    )

    names = [row.columns["name"] for rows in parts.rows for row in rows]
    assert names == ["pageview", "pageview", "pageview", "engagement"]
    registered = [site for part, site in parts.seen if part == "register"]
    assert registered == ["site 1", "site 1", "site 2", "site 2"]


def test_a_request_that_waits_for_its_session_holds_up_no_other(parts: Parts) -> None:
    settled = take_together(
        parts, make_request("a.example"), make_request("b.example"), waiting=1
    )

    assert settled == [Result(["b.example"]), Result(["a.example"])]


def test_a_step_that_fails_fails_its_request_only(parts: Parts) -> None:
    settled = take_together(
        parts,
        make_request("b.example"),
        make_request("a.example", "nowhere.example"),
        make_request("a.example"),
    )

    assert isinstance(settled.pop(1), KeyError)
    assert settled == [Result(["b.example"]), Result(["a.example"])]


def test_every_request_is_told_when_the_session_store_fails(parts: Parts) -> None:
    parts.answer = Reason.LOCK_TIMEOUT

    settled = take_together(parts, make_request("a.example"), make_request("b.example"))

    assert [str(each) for each in settled] == 2 * ["no session"]
    assert parts.rows == []


def test_a_request_whose_session_cannot_be_told_fails_alone(parts: Parts) -> None:
    settled = take_together(
        parts,
        make_request("a.example"),
        make_request("b.example"),
        waiting=1,
        error=OwnerGoneError("gone"),
    )

    assert settled[0] == Result(["b.example"])
    assert isinstance(settled[1], OwnerGoneError)


def test_a_row_that_cannot_be_made_fails_its_request_only(parts: Parts) -> None:
    parts.answer = Session(5, 6, 1_750_000_000, None)  # type: ignore[arg-type]

    settled = take_together(
        parts, make_request("a.example"), make_request("b.example"), waiting=1
    )

    failed = settled.pop(0)
    assert isinstance(failed, TypeError)
    assert settled == [Result(["a.example"])]


def test_one_event_in_64_is_timed_step_by_step(parts: Parts) -> None:
    for _ in range(64 + 1):
        parts.run(make_request("a.example"))

    assert parts.timed == 2 * ["put_site", "first", "last", "register_session"]


def test_the_steps_that_an_event_did_not_take_are_not_timed(parts: Parts) -> None:
    parts.drops = {("first", "a.example"): Reason.BOT}

    parts.run(make_request("a.example"))

    assert parts.timed == ["put_site", "first"]


def test_the_steps_have_the_names_that_metrics_know() -> None:
    steps = WebSteps(None, sites=None, gate=None, salts=None)  # type: ignore[arg-type]

    names = [name for name, _ in steps.ordered()]

    assert (*names, "register_session") == PIPELINE_STEPS
