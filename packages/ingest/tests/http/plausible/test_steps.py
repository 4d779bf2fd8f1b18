"""What happens to a web event on its way: drops in their order, facts found out."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest

from headwater_ingest.enrich.geo import Place
from headwater_ingest.sites.shields import Shields

if TYPE_CHECKING:
    from packages.ingest.tests.http.plausible.conftest import WebEdge

BERLIN = Place("DE", "DE-BE", "", 2950159)
SPAM = "https://spam.example/x"
VERIFIER = "Plausible Verification Agent - if abused, contact support@plausible.io"


def from_client(ip: str, ip_class: str = "") -> dict[str, str]:
    return {"x-forwarded-for": ip, "x-plausible-ip-type": ip_class}


def test_spam_is_dropped_before_anything_is_looked_up(web: WebEdge) -> None:
    assert web.drop(r=SPAM, d="nowhere.example") == "spam_referrer"
    assert web.drop(r="https://www.SPAM.example") == "spam_referrer"


@pytest.mark.parametrize(
    "referrer", ["https://sub.spam.example", "file:///x", "about:blank", "spam.example"]
)
def test_what_only_looks_like_spam_is_taken(web: WebEdge, referrer: str) -> None:
    assert web.take(r=referrer)["name"] == "pageview"


def test_spam_drops_the_events_of_all_domains(web: WebEdge) -> None:
    answer = web.send({"n": "a", "u": "/", "d": "example.com,example.org", "r": SPAM})

    assert answer.headers["x-plausible-dropped"] == "2"


def test_a_site_has_its_former_domain_too(web: WebEdge) -> None:
    web.change_site(former_domain="old.example")

    assert web.take(d="old.example")["site_id"] == 7


def test_a_site_that_sums_up_others_receives_nothing(web: WebEdge) -> None:
    web.change_site(is_consolidated=True)

    assert web.drop() == "not_found"


def test_a_site_is_paid_for_until_the_end_of_a_day(web: WebEdge) -> None:
    today = datetime.fromtimestamp(web.now_ms / 1000, UTC).date()
    web.change_site(accept_traffic_until=today)
    web.take()

    web.change_site(accept_traffic_until=date.fromordinal(today.toordinal() - 1))

    assert web.drop() == "payment_required"


def test_a_blocked_site_receives_nothing(web: WebEdge) -> None:
    web.change_site(rate_limit=0)

    assert web.drop() == "block"


def test_a_site_has_so_many_events_in_a_window(web: WebEdge) -> None:
    web.change_site(rate_limit=2, rate_window_s=10)
    web.take()
    assert web.drop({"user-agent": "A bot"}) == "bot"
    assert web.drop() == "throttle"

    web.now_ms += 10_000

    web.take()


def test_spam_and_faulty_requests_use_up_no_room(web: WebEdge) -> None:
    web.change_site(rate_limit=1)
    web.drop(r=SPAM)
    web.refuse(n="")

    web.take()


def test_a_monthly_quota_counts_what_was_stored(web: WebEdge) -> None:
    web.change_site(monthly_quota=2)
    web.take()
    web.drop({"user-agent": "A bot"})
    web.take()

    assert web.drop() == "quota_exceeded"


def test_a_checker_of_installations_is_no_visitor(web: WebEdge) -> None:
    assert web.drop({"user-agent": VERIFIER}) == "verification_agent"
    web.take({"user-agent": f"{VERIFIER} x"})


def test_data_centres_are_dropped_by_header_and_by_address(web: WebEdge) -> None:
    web.hosting.known.add("192.0.2.1")

    assert web.drop(from_client("203.0.113.7", "dc_ip")) == "dc_ip"
    assert web.drop(from_client("192.0.2.1")) == "dc_ip"
    web.take(from_client("203.0.113.7", "residential"))


def test_addresses_known_for_attacks_are_dropped(web: WebEdge) -> None:
    assert web.drop(from_client("203.0.113.7", "threat_ip")) == "threat_ip"


@pytest.mark.parametrize(
    "shields,fields,ip,reason",
    [
        (Shields.from_rules(hostnames=["*.org"]), {}, "", "site_hostname_allowlist"),
        (
            Shields.from_rules(hostnames=["example.com"]),
            {"u": "/no/host"},
            "",
            "site_hostname_allowlist",
        ),
        (
            Shields.from_rules(pages=["/private/*"]),
            {"u": "/private/a"},
            "",
            "site_page_blocklist",
        ),
        (
            Shields.from_rules(addresses=["198.51.100.0/24"]),
            {},
            "198.51.100.9",
            "site_ip_blocklist",
        ),
        (
            Shields.from_rules(addresses=["2001:db8::1"]),
            {},
            "2001:DB8:0::1",
            "site_ip_blocklist",
        ),
        (
            Shields.from_rules(countries=["DE"]),
            {},
            "192.0.2.1",
            "site_country_blocklist",
        ),
        (
            Shields.from_rules(countries=["ZZ"]),
            {},
            "192.0.2.2",
            "site_country_blocklist",
        ),
    ],
)
def test_shields_drop_what_a_site_does_not_want(
    web: WebEdge, shields: Shields, fields: dict[str, str], ip: str, reason: str
) -> None:
    web.places.known["192.0.2.1"] = BERLIN
    headers = from_client(ip or "203.0.113.7")
    web.take(headers, **fields)

    web.change_site(shields=shields)

    assert web.drop(headers, **fields) == reason


def test_bots_are_dropped(web: WebEdge) -> None:
    assert web.drop({"user-agent": "Somebot/1.0"}) == "bot"


def test_the_first_step_that_drops_ends_the_way(web: WebEdge) -> None:
    """Takes one cause after the other away, and finds the next one behind it."""
    web.hosting.known.add("198.51.100.1")
    web.change_site(
        rate_limit=0,
        accept_traffic_until=date(2020, 1, 1),
        shields=Shields.from_rules(
            addresses=["198.51.100.1"],
            countries=["ZZ"],
            pages=["/x"],
            hostnames=["other.example"],
        ),
    )
    bad = {"r": SPAM, "d": "nowhere.example", "u": "https://example.com/x"}
    headers = {
        "user-agent": VERIFIER,
        "x-forwarded-for": "198.51.100.1",
        "x-plausible-ip-type": "threat_ip",
    }
    found = [web.drop(headers, **bad)]
    del bad["r"]
    found.append(web.drop(headers, **bad))
    del bad["d"]
    found.append(web.drop(headers, **bad))
    web.change_site(accept_traffic_until=None)
    found.append(web.drop(headers, **bad))
    web.change_site(rate_limit=None)
    found.append(web.drop(headers, **bad))
    headers["user-agent"] = "Somebot/1.0"
    found.append(web.drop(headers, **bad))
    web.hosting.known.clear()
    found.append(web.drop(headers, **bad))
    del headers["x-plausible-ip-type"]
    found.append(web.drop(headers, **bad))
    bad["u"] = "https://other.example/x"
    found.append(web.drop(headers, **bad))
    bad["u"] = "https://other.example/y"
    found.append(web.drop(headers, **bad))
    headers["x-forwarded-for"] = "203.0.113.7"
    found.append(web.drop(headers, **bad))
    web.places.known["203.0.113.7"] = BERLIN
    found.append(web.drop(headers, **bad))

    assert found == [
        "spam_referrer",
        "not_found",
        "payment_required",
        "block",
        "verification_agent",
        "dc_ip",
        "threat_ip",
        "site_hostname_allowlist",
        "site_page_blocklist",
        "site_ip_blocklist",
        "site_country_blocklist",
        "bot",
    ]
    assert web.rows() == []


def test_an_event_knows_its_place_device_and_source(web: WebEdge) -> None:
    web.places.known["192.0.2.1"] = BERLIN

    row = web.take(
        from_client("192.0.2.1"),
        u="https://www.example.com/a?utm_campaign=spring&gclid=1",
        r="https://www.google.de/search?q=x",
    )

    assert row["country_code"] == "DE"
    assert row["subdivision1_code"] == "DE-BE"
    assert row["city_geoname_id"] == 2950159
    assert (row["screen_size"], row["browser"]) == ("Desktop", "Chrome")
    assert row["browser_version"] == "142.0"
    assert (row["operating_system"], row["operating_system_version"]) == (
        "Windows",
        "10",
    )
    assert row["referrer"] == "google.de/search"
    assert row["referrer_source"] == "Google"
    assert row["utm_campaign"] == "spring"
    assert row["click_id_param"] == "gclid"
    assert row["utm_medium"] == "(gclid)"
    assert row["acquisition_channel"] == "Paid Search"


def test_client_hints_reach_the_reader_of_devices(web: WebEdge) -> None:
    row = web.take({"sec-ch-ua-platform": '"macOS"', "sec-ch-ua": '"Chromium";v="142"'})

    assert row["operating_system"] == "Mac"


def test_an_anonymous_network_has_no_place(web: WebEdge) -> None:
    web.places.known["192.0.2.1"] = BERLIN

    row = web.take(from_client("192.0.2.1", "anonymous_vpn_ip"))

    assert (row["country_code"], row["city_geoname_id"]) == ("A1", 0)


@pytest.mark.parametrize(
    "peer,country", [("10.1.2.3", "DE"), ("::1", "DE"), ("203.0.113.1", "")]
)
def test_headers_name_the_client_only_if_the_peer_is_trusted(
    web: WebEdge, peer: str, country: str
) -> None:
    web.places.known["192.0.2.1"] = BERLIN
    web.peer = peer

    assert web.take(from_client("192.0.2.1"))["country_code"] == country


def test_neither_address_nor_agent_is_stored(web: WebEdge) -> None:
    web.take(
        {"x-forwarded-for": "192.0.2.77", "user-agent": "Chrome/142 unmistakable"},
        p={"a": 1},
    )

    (blob,) = web.journal.blobs
    assert b"192.0.2.77" not in blob
    assert b"unmistakable" not in blob
