"""Sessions, as ClickHouse makes them of events, against a plain model of their rules.

The model takes the events of one session one after the other, as the rules are written:
what a first event begins, and what each later one changes.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count, groupby
from typing import Any, Final
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from headwater_ingest.clickhouse.client import ClickHouseUrl, Client, connect

pytestmark = pytest.mark.clickhouse

Event = dict[str, Any]
Session = dict[str, Any]
Store = Callable[..., None]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NEARLY_NOVEMBER_MS: Final = 1_793_491_195_400
"""2026-10-31 23:59:55.4 UTC, so that sessions span two partitions."""

# What the first event of a session says for all of it.
FACTS: Final = (
    *("referrer", "referrer_source", "acquisition_channel", "click_id_param"),
    *("utm_medium", "utm_source", "utm_campaign", "utm_content", "utm_term"),
    *("country_code", "subdivision1_code", "subdivision2_code", "city_geoname_id"),
    *("screen_size", "operating_system", "operating_system_version"),
    *("browser", "browser_version"),
)
NOT_TEXT: Final = ("country_code", "city_geoname_id")
COLUMNS: Final = (
    *("session_id", "site_id", "user_id", "sign", "hostname", "timestamp", "start"),
    *("is_bounce", "entry_page", "exit_page", "exit_page_hostname", "pageviews"),
    *("events", "duration", "entry_meta", "entry_meta.key", "entry_meta.value"),
    *FACTS,
)
NAMED: Final = ", ".join(f"`{name}`" for name in COLUMNS)

SITES: Final = 4

_sites = count(1)


def session_of(event: Event) -> tuple[int, int]:
    return event["site_id"], event["session_id"]


def place(event: Event) -> tuple[tuple[int, int], int, int]:
    return session_of(event), event["timestamp"], event["event_id"].int


def model(events: Iterable[Event]) -> list[Session]:
    """Return the sessions that some events make, by site and id."""
    counted = [
        event
        for event in sorted(events, key=place)
        if event["session_id"] and event["name"] != "engagement"
    ]
    return [follow(list(events)) for _, events in groupby(counted, key=session_of)]


def follow(events: Sequence[Event]) -> Session:
    session = begin(events[0])
    for event in events[1:]:
        update(session, event)
    return session | {
        "start": as_time(session["start"]),
        "timestamp": as_time(session["timestamp"]),
        "entry_meta.key": list(session["entry_meta"]),
        "entry_meta.value": list(session["entry_meta"].values()),
    }


def begin(event: Event) -> Session:
    is_pageview = event["name"] == "pageview"
    return {
        **{name: event[name] for name in FACTS},
        "session_id": event["session_id"],
        "site_id": event["site_id"],
        "user_id": event["user_id"],
        "sign": 1,
        "start": event["timestamp"],
        "timestamp": event["timestamp"],
        "duration": 0,
        "events": 1,
        "pageviews": 1 if is_pageview else 0,
        "hostname": event["hostname"] if is_pageview else "",
        "entry_page": event["pathname"] if is_pageview else "",
        "exit_page": event["pathname"] if is_pageview else "",
        "exit_page_hostname": event["hostname"] if is_pageview else "",
        "is_bounce": is_pageview or not event["interactive"],
        "entry_meta": event["props"],
    }


def update(session: Session, event: Event) -> None:
    session["timestamp"] = event["timestamp"]
    session["duration"] = (event["timestamp"] - session["start"]) // 1000
    session["events"] += 1
    if event["name"] == "pageview":
        session["pageviews"] += 1
        session["entry_page"] = session["entry_page"] or event["pathname"]
        session["hostname"] = session["hostname"] or event["hostname"]
        session["exit_page"] = event["pathname"]
        session["exit_page_hostname"] = event["hostname"]
        if session["pageviews"] >= 2:
            session["is_bounce"] = False
    elif event["interactive"]:
        session["is_bounce"] = False


def as_time(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=milliseconds)


def stored(client: Client, sites: list[int]) -> list[Session]:
    rows = client.execute(
        f"SELECT {NAMED} FROM sessions WHERE site_id IN %(sites)s "
        "ORDER BY site_id, session_id",
        {"sites": sites},
    )
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def make_facts(kind: str) -> Event:
    """Return facts that differ from each other and from those of another kind."""
    return {name: f"{name} {kind}" for name in FACTS} | {
        "country_code": kind * 2,
        "city_geoname_id": ord(kind),
        "props": {"kind": kind},
    }


# Few values each, so that times are equal and pages repeat; ids decide among equals.
# Facts differ within a session when a server sends its events.
events_of_any_kind = st.builds(
    lambda page, time_ms, kind, **fields: {
        "hostname": page and "example.com",
        "pathname": page,
        "timestamp": NEARLY_NOVEMBER_MS + time_ms,
        **make_facts(kind),
        **fields,
    },
    page=st.sampled_from(["", "/", "/b"]),
    time_ms=st.sampled_from([0, 0, 1, 600, 999, 1000, 5000]),
    kind=st.sampled_from("abc"),
    event_id=st.uuids(),
    session_id=st.sampled_from([0, 1, 2**64 - 1]),
    user_id=st.sampled_from([7, 8]),
    name=st.sampled_from(["pageview", "pageview", "Signup", "engagement"]),
    interactive=st.booleans(),
)


@given(
    events=st.lists(
        events_of_any_kind,
        min_size=20,
        max_size=60,
        unique_by=lambda event: event["event_id"],
    ),
    chance=st.randoms(use_true_random=True),
)
@settings(
    max_examples=12,
    deadline=None,
    # To shrink a failure would take minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    # Examples share the database: each has sites of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_the_view_is_the_model_in_any_order_and_after_any_repetition(
    client: Client,
    store_anyhow: Callable[..., None],
    events: list[Event],
    chance: random.Random,
) -> None:
    sites = [next(_sites) for _ in range(SITES)]
    for event in events:
        event["site_id"] = chance.choice(sites)
    store_anyhow(events, chance)

    assert stored(client, sites) == model(events)


def make_event(number: int, **fields: Any) -> Event:
    return {
        "event_id": UUID(int=number),
        "site_id": 1,
        "session_id": 1,
        "name": "pageview",
        "timestamp": NEARLY_NOVEMBER_MS,
        **fields,
    }


def test_events_without_a_session_and_engagements_make_none(
    client: Client, store: Store
) -> None:
    store([make_event(1, session_id=0), make_event(2, name="engagement")], "token")

    assert client.execute("SELECT count() FROM session_states") == [(0,)]


def test_a_session_that_merges_have_put_together_stays_as_it_is(
    client: Client, store: Store
) -> None:
    for number in range(4):
        store([make_event(number, pathname=f"/{number}")], f"token {number}")
    before = client.execute("SELECT * FROM sessions")
    client.execute("OPTIMIZE TABLE session_states FINAL")

    assert client.execute("SELECT count() FROM session_states") == [(1,)]
    assert client.execute("SELECT * FROM sessions") == before
    assert client.execute("SELECT entry_page, exit_page FROM sessions") == [
        ("/0", "/3")
    ]


@pytest.mark.parametrize(
    "foreign",
    [
        {},
        {"enable_named_columns_in_function_tuple": 1},
        {"output_format_json_quote_64bit_integers": 1},
        {"output_format_json_named_tuples_as_objects": 0},
    ],
    ids=str,
)
def test_facts_are_read_as_they_were_said_whatever_a_profile_sets(
    client: Client, url: ClickHouseUrl, foreign: dict[str, int]
) -> None:
    odd = """'"\\/\t\n\x7f\u2028é😀,[]{}"""
    texts = {name: f"{odd}{name}" for name in FACTS if name not in NOT_TEXT}
    event = make_event(1, hostname=odd, pathname=f"{odd}/", user_id=2**64 - 1)
    event |= texts | {"props": {odd: odd, "": ""}}
    columns = [[value] for value in event.values()]
    with connect(url) as other:
        other.execute(
            f"INSERT INTO events ({', '.join(event)}) VALUES",
            columns,
            columnar=True,
            settings=foreign,
        )

    empty = {"country_code": "", "city_geoname_id": 0, "interactive": True}
    assert stored(client, [1]) == model([empty | event])


def test_the_columns_are_those_that_the_model_knows(client: Client) -> None:
    assert tuple(name for name, *_ in client.execute("DESCRIBE sessions")) == COLUMNS


def test_a_question_about_one_site_reads_the_rows_of_that_site_only(
    client: Client, store: Store
) -> None:
    store([make_event(1, site_id=1), make_event(2, site_id=2)], "token")
    plan = client.execute(
        "EXPLAIN indexes = 1 SELECT * FROM sessions WHERE site_id = 2"
    )

    assert any("site_id in [2, 2]" in line for (line,) in plan)
