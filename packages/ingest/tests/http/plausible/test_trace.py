"""`?debug=1`: who is told what was done to an event, and what they are told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from headwater_ingest.errors import JournalFullError
from headwater_ingest.sites.model import Site, digest_key
from headwater_ingest.sites.shields import Shields

if TYPE_CHECKING:
    import httpx
    from packages.ingest.tests.http.plausible.conftest import WebEdge

KEY = "hw_0123456789abcdef"
OTHER_KEY = "hw_fedcba9876543210"
KEYED = {"x-headwater-key": KEY}
TARGET = "/api/event?debug=1"
FIRST = {
    "n": "pageview",
    "u": "https://example.com/secret?utm_source=spring&utm_campaign=mailing",
    "d": "example.com",
}
SECOND = {"n": "pageview", "u": "https://example.com/b?ref=own", "d": "example.com"}


@pytest.fixture
def web(web: WebEdge) -> WebEdge:
    web.site = replace(web.site, key_digests=frozenset({digest_key(KEY)}))
    other = Site(8, "example.org", frozenset({digest_key(OTHER_KEY)}))
    web.sites.replace([web.site, other])
    return web


def trace(answer: httpx.Response, place: int = 0) -> dict[str, Any]:
    event: dict[str, Any] = answer.json()["events"][place]
    return event


def steps(answer: httpx.Response) -> dict[str, Any]:
    return {each["step"]: each for each in trace(answer)["steps"]}


def test_a_keyholder_is_told_each_step_and_the_row(web: WebEdge) -> None:
    answer = web.send(FIRST, KEYED, target=TARGET)

    assert answer.status_code == 202
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json()["request"]["page"]["pathname"] == "/secret"
    assert trace(answer)["outcome"] == "accepted"
    assert [each["step"] for each in trace(answer)["steps"]] == [
        "drop_spam_referrer",
        "put_site",
        "drop_refused",
        "drop_verification_agent",
        "drop_data_centre_ip",
        "drop_threat_ip",
        "drop_shield_hostname",
        "drop_shield_page",
        "drop_shield_ip",
        "put_place",
        "drop_shield_country",
        "put_device",
        "put_attribution",
        "put_revenue",
        "put_user_id",
        "register_session",
    ]
    found = steps(answer)["put_attribution"]["set"]
    assert found["utm_campaign"] == "mailing"
    row = trace(answer)["row"]
    assert (row["pathname"], row["browser"]) == ("/secret", "Chrome")
    assert row["timestamp"] == "2025-06-15T16:00:45Z"
    assert row["event_id"] == str(web.rows()[0]["event_id"])


def test_the_event_is_stored_and_counted_as_ever(web: WebEdge) -> None:
    web.send(FIRST, target="/api/event")
    web.send(FIRST, KEYED, target=TARGET)

    plain, traced = web.rows()
    own = {"event_id", "session_id"}
    assert {name: plain[name] for name in plain.keys() - own} == {
        name: traced[name] for name in traced.keys() - own
    }
    assert plain["session_id"] == traced["session_id"]
    assert web.counted("headwater_events_total", outcome="accepted") == 2


def test_a_drop_is_told_by_the_step_that_did_it(web: WebEdge) -> None:
    web.change_site(shields=Shields.from_rules(pages=["/secret"]))

    answer = web.send(FIRST, KEYED, target=TARGET)

    assert trace(answer)["reason"] == "site_page_blocklist"
    *_, last = trace(answer)["steps"]
    assert (last["step"], last["reason"]) == ("drop_shield_page", "site_page_blocklist")
    assert "row" not in trace(answer)
    assert answer.headers["x-plausible-dropped"] == "1"
    assert answer.headers["x-headwater-dropped"] == "site_page_blocklist"
    assert web.rows() == []


def test_a_traced_event_takes_its_place_in_the_rate_window(web: WebEdge) -> None:
    web.change_site(rate_limit=1)

    first, second = (web.send(FIRST, KEYED, target=TARGET) for _ in range(2))

    assert trace(first)["outcome"] == "accepted"
    assert trace(second)["reason"] == "throttle"


@pytest.mark.parametrize(
    "headers,target",
    [
        ({}, TARGET),
        ({"x-headwater-key": "hw_ffffffffffffffff"}, TARGET),
        ({"x-headwater-key": ""}, TARGET),
        (KEYED, "/api/event"),
        (KEYED, "/api/event?debug=0"),
        (KEYED, "/api/event?debug="),
        (KEYED, "/api/event?debug=1&debug=0"),
        (KEYED, f"/api/event?debug=1&{'x' * 1000}"),
        (KEYED, "/api/event?a=%ff%00"),
    ],
)
def test_nobody_else_is_told_anything(
    web: WebEdge, headers: dict[str, str], target: str
) -> None:
    answer = web.send(FIRST, headers, target=target)

    assert (answer.status_code, answer.text) == (202, "ok")
    assert len(web.rows()) == 1


def test_a_key_that_has_ended_tells_nothing(web: WebEdge) -> None:
    ended = replace(web.site, key_ends={digest_key(KEY): 1})
    web.sites.replace([ended])

    assert web.send(FIRST, KEYED, target=TARGET).text == "ok"


def test_the_key_may_come_as_a_bearer_token(web: WebEdge) -> None:
    answer = web.send(FIRST, {"authorization": f"Bearer {KEY}"}, target=TARGET)

    assert trace(answer)["outcome"] == "accepted"


def test_the_steps_of_another_site_are_not_told(web: WebEdge) -> None:
    body = {**FIRST, "d": "example.com,example.org,nowhere.example"}

    answer = web.send(body, {"x-headwater-key": OTHER_KEY}, target=TARGET)

    assert trace(answer, 0) == {"event": "example.com", "outcome": "accepted"}
    assert trace(answer, 1)["row"]["hostname"] == "example.com"
    assert trace(answer, 2)["reason"] == "not_found"
    assert [each["step"] for each in trace(answer, 2)["steps"]] == [
        "drop_spam_referrer",
        "put_site",
    ]


def test_nothing_of_an_open_session_is_told(web: WebEdge) -> None:
    web.send(FIRST)

    answer = web.send(SECOND, KEYED, target=TARGET)

    assert web.rows()[1]["utm_campaign"] == "mailing"
    assert "mailing" not in answer.text
    assert "spring" not in answer.text
    assert not {"browser", "utm_source", "country_code"} & trace(answer)["row"].keys()
    assert steps(answer)["put_attribution"]["set"]["referrer_source"] == "own"
    assert "continued" in steps(answer)["register_session"]["set"]["session"]


def test_neither_keys_nor_ids_nor_salts_nor_the_agent_are_told(web: WebEdge) -> None:
    answer = web.send(FIRST, KEYED, target=TARGET)

    row = web.rows()[0]
    for secret in (
        KEY,
        digest_key(KEY).hex(),
        str(row["user_id"]),
        str(row["session_id"]),
        web.salts.today.decode(),
        "Mozilla",
    ):
        assert secret not in answer.text


def test_an_engagement_without_a_session_is_told(web: WebEdge) -> None:
    body = {**FIRST, "n": "engagement", "sd": 40, "e": 1000}

    answer = web.send(body, KEYED, target=TARGET)

    assert trace(answer)["steps"][-1] == {
        "step": "register_session",
        "reason": "no_session_for_engagement",
    }


@pytest.mark.parametrize(
    "sent,understood",
    [
        *((137, 137), (0, 0), (-1, -1), (10**18, 0)),
        *(("137", 0), (13.7, 0), (True, 0), (None, 0), ([137], 0)),
    ],
)
def test_the_script_version_is_an_integer_or_none(
    web: WebEdge, sent: object, understood: int
) -> None:
    answer = web.send({**FIRST, "v": sent}, KEYED, target=TARGET)

    assert answer.json()["request"]["script_version"] == understood


def test_faults_are_told_as_ever(web: WebEdge) -> None:
    answer = web.send({"n": "pageview"}, KEYED, target=TARGET)

    assert answer.status_code == 400
    assert set(answer.json()) == {"errors"}


def test_a_journal_that_is_full_is_told_as_ever(web: WebEdge) -> None:
    web.journal.error = JournalFullError("full")

    assert web.send(FIRST, KEYED, target=TARGET).status_code == 503
