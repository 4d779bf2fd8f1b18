"""Each field of a web event: names, types, limits and what is said of faults."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from packages.ingest.tests.http.plausible.conftest import WebEdge

BLANK = ["can't be blank"]
INVALID = ["is invalid"]
MISSING = ...
"""Stands for a field that is not sent."""


@pytest.mark.parametrize(
    "fields",
    [
        {"n": "Signup"},
        {"n": MISSING, "name": "Signup"},
        {"n": None, "name": "Signup"},
        {"n": False, "name": "Signup"},
        {"n": "Signup", "name": "Other"},
    ],
)
def test_the_name_is_the_first_that_is_there(
    web: WebEdge, fields: dict[str, Any]
) -> None:
    body = {"n": "pageview", "u": "/", "d": "example.com", **fields}
    web.send({name: value for name, value in body.items() if value is not ...})

    assert web.rows()[0]["name"] == "Signup"


@pytest.mark.parametrize(
    "name,stored",
    [
        (404, "404"),
        ("x" * 120, "x" * 120),
        ("e\u0301" * 120, "e\u0301" * 120),
        ("👨‍👩‍👧" * 120, "👨‍👩‍👧" * 120),
        ("👍🏽" * 120, "👍🏽" * 120),
        ("🇩🇪" * 120, "🇩🇪" * 120),
        ("\u1100\u1161\u11a8" * 120, "\u1100\u1161\u11a8" * 120),
        (" padded ", " padded "),
        ("pageleave", "pageleave"),
    ],
)
def test_a_name_is_stored_as_it_is(web: WebEdge, name: object, stored: str) -> None:
    assert web.take(n=name)["name"] == stored


@pytest.mark.parametrize(
    "name,fault",
    [
        (MISSING, BLANK),
        (None, BLANK),
        ("", BLANK),
        ("  \t\n", BLANK),
        (False, BLANK),
        (True, INVALID),
        (1.5, INVALID),
        (["a"], INVALID),
        ({"a": 1}, INVALID),
        ("x" * 121, ["should be at most 120 character(s)"]),
        ("e\u0301" * 121, ["should be at most 120 character(s)"]),
        ("🇩🇪" * 120 + "🇩", ["should be at most 120 character(s)"]),
        ("e" + "\u0301" * 2000, ["should be at most 120 character(s)"]),
    ],
)
def test_a_name_that_cannot_be_taken_is_told(
    web: WebEdge, name: object, fault: list[str]
) -> None:
    assert web.refuse(n=name) == {"event_name": fault}


@pytest.mark.parametrize(
    "url,hostname,pathname",
    [
        ("https://www.Example.com:8080/a%20b/?q=1#top", "example.com", "/a b/"),
        ("https://example.com", "example.com", "/"),
        ("/a/b", "(none)", "/a/b"),
        ("about:config", "(none)", "config"),
        ("chrome-extension://abc/popup.html", "abc", "/popup.html"),
        ("http://[2001:db8::1]:80/x", "2001:db8::1", "/x"),
        ("https://example.com/100%zz+%C3%A9 ", "example.com", "/100%zz+é"),
        ("", "(none)", "/"),
        ("javascript:alert(1)", "(none)", "alert(1)"),
    ],
)
def test_any_url_names_a_page(
    web: WebEdge, url: str, hostname: str, pathname: str
) -> None:
    row = web.take(u=url)

    assert (row["hostname"], row["pathname"]) == (hostname, pathname)


@pytest.mark.parametrize(
    "url,fault",
    [
        (MISSING, ["is required"]),
        (None, ["is required"]),
        (12, ["must be a valid url"]),
        (["https://example.com"], ["must be a valid url"]),
        ("https://example.com/" + "x" * 1981, ["must be a valid url"]),
        ("https://example.com/" + "é" * 991, ["must be a valid url"]),
        ("data:text/html,hello", ["scheme is not allowed"]),
        ("DATA:text/html,hello", ["scheme is not allowed"]),
    ],
)
def test_a_url_that_cannot_be_taken_is_told(
    web: WebEdge, url: object, fault: list[str]
) -> None:
    assert web.refuse(u=url) == {"url": fault}


def test_a_url_may_have_2000_bytes(web: WebEdge) -> None:
    assert len(web.take(u="https://example.com/" + "é" * 990)["pathname"]) == 991


def test_a_page_of_blanks_only_is_told(web: WebEdge) -> None:
    assert web.refuse(u=" ") == {"pathname": BLANK}


def test_all_faults_are_told_at_once(web: WebEdge) -> None:
    assert web.refuse(n="", u=5, d=" ", h=True, p={"k" * 301: 1}) == {
        "event_name": BLANK,
        "url": ["must be a valid url"],
        "domain": BLANK,
        "hash_mode": INVALID,
        "props": ["keys should have at most 300 bytes and values 2000 bytes"],
    }


@pytest.mark.parametrize(
    "domain,url",
    [
        ("example.com", "/"),
        (" WWW.Example.COM ", "/"),
        (MISSING, "https://www.example.com/x"),
        (None, "https://EXAMPLE.com/x"),
        (5, "https://example.com/x"),
    ],
)
def test_the_site_is_the_domain_or_the_host_of_the_url(
    web: WebEdge, domain: object, url: str
) -> None:
    body = {"n": "pageview", "u": url, "d": domain}
    web.send({name: value for name, value in body.items() if value is not ...})

    assert web.rows()[0]["site_id"] == 7


def test_a_list_of_domains_is_an_event_for_each_once(web: WebEdge) -> None:
    row = web.take(d="example.com, www.example.org ,EXAMPLE.com")

    assert [each["site_id"] for each in web.rows()] == [7, 8]
    assert row["timestamp"] == web.rows()[0]["timestamp"]
    ids = {(each["event_id"], each["user_id"]) for each in web.rows()}
    assert len(ids) == 2


@pytest.mark.parametrize(
    "domain,url", [("", "https://example.com"), (" \t", "/"), (MISSING, "/no/host")]
)
def test_a_domain_that_is_nowhere_is_told(
    web: WebEdge, domain: object, url: str
) -> None:
    assert web.refuse(d=domain, u=url) == {"domain": BLANK}


@pytest.mark.parametrize("domain", [",", "nowhere.example", "example.com.", "*"])
def test_a_domain_of_no_site_is_a_drop(web: WebEdge, domain: str) -> None:
    assert web.drop(d=domain) == "not_found"


def test_a_file_has_the_empty_host_which_is_no_site(web: WebEdge) -> None:
    assert web.drop(d=None, u="file:///a/b.html") == "not_found"


@pytest.mark.parametrize(
    "mode,pathname",
    [
        (1, "/a#b c"),
        ("1", "/a#b c"),
        (0, "/a"),
        (2, "/a"),
        ("0", "/a"),
        (False, "/a"),
        (None, "/a"),
    ],
)
def test_hash_mode_keeps_the_fragment(
    web: WebEdge, mode: object, pathname: str
) -> None:
    assert web.take(u="https://example.com/a#b%20c", h=mode)["pathname"] == pathname


@pytest.mark.parametrize("mode", [True, "yes", "", 1.0, [], "1.0", "--1"])
def test_a_hash_mode_that_is_no_number_is_told(web: WebEdge, mode: object) -> None:
    assert web.refuse(hashMode=mode) == {"hash_mode": INVALID}


@pytest.mark.parametrize(
    "name,fields,is_interactive",
    [
        ("Play", {}, True),
        ("Play", {"i": False}, False),
        ("Play", {"interactive": False}, False),
        ("Play", {"i": True, "interactive": False}, False),
        ("Play", {"i": 0}, True),
        ("Play", {"i": "false"}, True),
        ("Play", {"i": None}, True),
        ("pageview", {"i": False}, True),
        ("File Download", {"i": False}, True),
        ("404", {"interactive": False}, True),
    ],
)
def test_only_false_makes_an_event_no_interaction(
    web: WebEdge, name: str, fields: dict[str, Any], *, is_interactive: bool
) -> None:
    assert web.take(n=name, **fields)["interactive"] is is_interactive


@pytest.mark.parametrize(
    "fields,depth,time",
    [
        ({"sd": 40, "e": 1200}, 40, 1200),
        ({"sd": "40", "e": "1200"}, 40, 1200),
        ({"sd": 101}, 100, 0),
        ({"sd": "9" * 400}, 100, 0),
        ({"sd": "0007"}, 7, 0),
        ({"sd": 0}, 0, 0),
        ({"e": 5}, 255, 5),
        ({"sd": -1, "e": 5}, 255, 5),
        ({"sd": "٣", "e": 5}, 255, 5),
        ({"sd": True, "e": 5}, 255, 5),
        ({"sd": 1, "e": 2_591_999_999}, 1, 2_591_999_999),
        ({"sd": 1, "e": 2_592_000_000}, 1, 0),
        ({"sd": 1, "e": "x"}, 1, 0),
    ],
)
def test_an_engagement_tells_depth_and_time(
    web: WebEdge, fields: dict[str, Any], depth: int, time: int
) -> None:
    web.take()

    row = web.take(n="engagement", **fields)

    assert (row["scroll_depth"], row["engagement_time"]) == (depth, time)


@pytest.mark.parametrize(
    "fields", [{}, {"sd": -1}, {"e": 0}, {"sd": 1.5, "e": "1.5"}, {"sd": None}]
)
def test_an_engagement_without_depth_and_time_is_told(
    web: WebEdge, fields: dict[str, Any]
) -> None:
    fault = (
        "engagement event requires a valid integer value for at least one of 'sd' or "
        "'e' fields"
    )

    assert web.refuse(n="engagement", **fields) == {"event_name": [fault]}


def test_other_events_have_neither_depth_nor_time(web: WebEdge) -> None:
    row = web.take(sd=40, e=1200)

    assert (row["scroll_depth"], row["engagement_time"]) == (0, 0)


@pytest.mark.parametrize("field", ["m", "meta", "p", "props"])
def test_props_have_many_names(web: WebEdge, field: str) -> None:
    assert web.take(**{field: {"b": 1, "a": "x"}})["props"] == {"a": "x", "b": "1"}


def test_props_may_be_the_text_of_an_object(web: WebEdge) -> None:
    row = web.take(p='{"plan": "pro", "null": null, "nul": "a\\u0000b"}')

    assert row["props"] == {"nul": "ab", "plan": "pro"}


@pytest.mark.parametrize("props", ["no json", "[1]", [1], 5, True, '"a"', "\\ud800"])
def test_props_that_are_no_object_are_none(web: WebEdge, props: object) -> None:
    assert web.take(p=props)["props"] == {}


@pytest.mark.parametrize(
    "value,stored",
    [
        ("a", "a"),
        (" a ", " a "),
        (True, "true"),
        (False, "false"),
        (12, "12"),
        (12.5, "12.5"),
        (3.0, "3.0"),
        (-0.5, "-0.5"),
    ],
)
def test_props_are_stored_as_text(web: WebEdge, value: object, stored: str) -> None:
    assert web.take(p={"k": value})["props"] == {"k": stored}


@pytest.mark.parametrize("value", ["", "  ", None, [], ["a"], {}, {"a": 1}])
def test_empty_and_nested_props_are_left_out(web: WebEdge, value: object) -> None:
    assert web.take(p={"k": value, " ": "x", "": "y", "kept": 1})["props"] == {
        "kept": "1"
    }


def test_the_first_30_props_are_kept_and_the_others_counted(web: WebEdge) -> None:
    sent = {f"k{number:02}": number for number in reversed(range(33))}

    row = web.take(p={"empty": "", **sent})

    assert list(row["props"]) == [f"k{number:02}" for number in range(3, 33)]
    assert web.counted("headwater_props_truncated_total") == 3


def test_props_are_in_the_order_of_their_bytes(web: WebEdge) -> None:
    names = ["é", "z", "Z", "\U0001f600", "\uffee", "a"]

    row = web.take(p=dict.fromkeys(names, 1))

    assert list(row["props"]) == sorted(names, key=str.encode)


@pytest.mark.parametrize("name", ["404", "WP Form Completions", "Form: Submission"])
def test_some_events_have_their_path_as_a_prop(web: WebEdge, name: str) -> None:
    many = {f"k{number:02}": 1 for number in range(30)}

    own = web.take(n=name, u="https://example.com/a#b", h=1, p=many)
    given = web.take(n=name, p={"path": "/given"})

    assert own["props"]["path"] == "/a#b"
    assert len(own["props"]) == 30
    assert given["props"] == {"path": "/given"}


@pytest.mark.parametrize(
    "props", [{"k" * 301: 1}, {"é" * 151: 1}, {"k": "v" * 2001}, {"k": "é" * 1001}]
)
def test_props_that_are_too_long_are_told(
    web: WebEdge, props: dict[str, object]
) -> None:
    assert web.refuse(p=props) == {
        "props": ["keys should have at most 300 bytes and values 2000 bytes"]
    }


def test_props_may_be_as_long_as_the_limits(web: WebEdge) -> None:
    assert web.take(p={"é" * 150: "é" * 1000})["props"] == {"é" * 150: "é" * 1000}


def test_a_prop_that_is_cut_away_may_be_of_any_length(web: WebEdge) -> None:
    kept = {f"k{number:02}": 1 for number in range(30)}

    assert "x" * 400 not in web.take(p={**kept, "x" * 400: 1})["props"]


@pytest.mark.parametrize("field", ["r", "referrer"])
def test_the_referrer_is_cut_to_2000_characters(web: WebEdge, field: str) -> None:
    row = web.take(**{field: "https://other.example/" + "é" * 3000})

    assert row["referrer"] == "other.example/" + "é" * 1978


@pytest.mark.parametrize("referrer", [5, None, ["https://other.example"], "", True])
def test_a_referrer_that_is_no_text_is_none(web: WebEdge, referrer: object) -> None:
    row = web.take(r=referrer)

    assert (row["referrer"], row["referrer_source"]) == ("", "")
    assert row["acquisition_channel"] == "Direct"


@pytest.mark.parametrize(
    "fields",
    [
        {"revenue": {"amount": 10.2, "currency": "USD"}},
        {"$": {"amount": "10.2", "currency": "USD"}},
        {"revenue": '{"amount": 10.2, "currency": "USD"}'},
        {"revenue": {"amount": 10.2, "currency": "USD"}, "$": {"amount": 1}},
    ],
)
def test_revenue_is_reported_in_the_currency_of_the_goal(
    web: WebEdge, fields: dict[str, Any]
) -> None:
    web.change_site(revenue_goals={"Purchase": "BRL"})

    row = web.take(n="Purchase", **fields)

    assert row["revenue_source_amount"] == Decimal("10.2")
    assert row["revenue_source_currency"] == "USD"
    assert row["revenue_reporting_amount"] == Decimal("7.14")
    assert row["revenue_reporting_currency"] == "BRL"


@pytest.mark.parametrize(
    "name,money",
    [
        ("Other", {"amount": 1, "currency": "USD"}),
        ("Purchase", {"amount": "1831d", "currency": "USD"}),
        ("Purchase", {"amount": 1, "currency": "usd"}),
        ("Purchase", {"amount": 1}),
        ("Purchase", 12),
        ("Purchase", "{"),
    ],
)
def test_money_without_a_goal_or_a_meaning_is_left_out(
    web: WebEdge, name: str, money: object
) -> None:
    web.change_site(revenue_goals={"Purchase": "BRL"})

    row = web.take(n=name, revenue=money)

    assert row["revenue_source_amount"] is None
    assert row["revenue_reporting_currency"] == ""


def test_revenue_without_a_rate_keeps_what_was_earned(web: WebEdge) -> None:
    web.change_site(revenue_goals={"Purchase": "CHF"})

    row = web.take(n="Purchase", revenue={"amount": 5, "currency": "USD"})

    assert row["revenue_source_amount"] == 5
    assert row["revenue_reporting_amount"] is None
    assert web.counted("headwater_revenue_rates_missing_total") == 1


def test_the_script_version_and_unknown_fields_mean_nothing(web: WebEdge) -> None:
    assert web.take(v=9, unknown={"a": [1]})["props"] == {}
