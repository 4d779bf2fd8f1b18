"""Which events of visitors belong together, seen from `/api/event`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packages.ingest.tests.http.plausible.conftest import WebEdge

HALF_AN_HOUR_MS = 30 * 60 * 1000


def test_events_of_a_visitor_take_over_what_the_first_one_said(web: WebEdge) -> None:
    first = web.take(u="https://example.com/a?utm_source=news")
    web.now_ms += HALF_AN_HOUR_MS
    second = web.take(n="Signup", u="https://example.com/b?utm_source=other")
    web.now_ms += HALF_AN_HOUR_MS
    third = web.take(n="engagement", u="https://example.com/b", e=5)

    for row in (second, third):
        assert row["session_id"] == first["session_id"]
        assert row["utm_source"] == "news"
    assert second["pathname"] == "/b"


def test_a_longer_gap_begins_a_new_session(web: WebEdge) -> None:
    first = web.take(u="https://example.com/a?utm_source=news")
    web.now_ms += HALF_AN_HOUR_MS + 1000
    second = web.take(u="https://example.com/b")

    assert second["session_id"] != first["session_id"]
    assert second["user_id"] == first["user_id"]
    assert second["utm_source"] == ""


def test_an_engagement_without_a_session_is_dropped(web: WebEdge) -> None:
    assert web.drop(n="engagement", e=5) == "no_session_for_engagement"
    web.take()
    web.now_ms += HALF_AN_HOUR_MS + 1000
    assert web.drop(n="engagement", e=5) == "no_session_for_engagement"


def test_a_visitor_is_told_apart_by_agent_address_and_site(web: WebEdge) -> None:
    rows = [
        web.take(),
        web.take({"user-agent": "Chrome/142 another"}),
        web.take({"x-forwarded-for": "203.0.113.8"}),
        web.take(d="example.org"),
        web.take(u="https://another.example/a"),
    ]

    assert len({row["user_id"] for row in rows}) == 5
    assert len({row["session_id"] for row in rows}) == 5


def test_a_visitor_is_the_same_on_all_hosts_of_a_domain(web: WebEdge) -> None:
    rows = [
        web.take(u="https://shop.example.com/a"),
        web.take(u="https://WWW.EXAMPLE.com/b"),
    ]

    assert len({(row["user_id"], row["session_id"]) for row in rows}) == 1


def test_a_visit_over_midnight_stays_one_session_under_one_id(web: WebEdge) -> None:
    evening = web.take()
    web.salts.today, web.salts.yesterday = b"n" * 16, web.salts.today
    web.now_ms += 60_000
    morning = web.take()
    web.now_ms += HALF_AN_HOUR_MS + 1000
    noon = web.take()

    assert morning["session_id"] == evening["session_id"]
    assert morning["user_id"] == evening["user_id"]
    assert noon["session_id"] != evening["session_id"]
    assert noon["user_id"] != evening["user_id"]


def test_after_two_midnights_nobody_is_known(web: WebEdge) -> None:
    evening = web.take()
    web.salts.today, web.salts.yesterday = b"n" * 16, b"m" * 16

    later = web.take()

    assert later["session_id"] != evening["session_id"]
    assert later["user_id"] != evening["user_id"]


def test_a_place_is_looked_up_when_a_session_begins(web: WebEdge) -> None:
    for _ in range(3):
        web.take()

    assert len(web.places.asked) == 1


def test_a_dropped_event_changes_no_session(web: WebEdge) -> None:
    first = web.take()
    web.now_ms += HALF_AN_HOUR_MS
    web.change_site(rate_limit=0)
    assert web.drop() == "block"
    web.change_site(rate_limit=None)
    web.now_ms += 1000

    assert web.take()["session_id"] != first["session_id"]


def test_ids_of_events_are_in_the_order_of_time(web: WebEdge) -> None:
    ids = [web.take()["event_id"] for _ in range(20)]

    assert ids == sorted(ids)
    assert {each.version for each in ids} == {7}
