"""What the properties of native events tell of end users, and which they drop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.enrich.attribution import Attributor
from headwater_ingest.enrich.geo import NOWHERE, Place
from headwater_ingest.enrich.sources_file import packaged_sources
from headwater_ingest.enrich.spam import SpamList
from headwater_ingest.enrich.user_agent import Device
from headwater_ingest.pipeline.end_user import EndUserSteps, Facts
from headwater_ingest.pipeline.enrichment import Enrichment
from headwater_ingest.rows import COLUMNS
from headwater_ingest.sites.shields import Shields
from headwater_schema.events import Event
from headwater_schema.outcomes import Reason

if TYPE_CHECKING:
    from headwater_ingest.enrich.client_hints import ClientHints

BERLIN, HOSTED = "192.0.2.1", "192.0.2.2"
URL = "https://www.Example.com/a%20b?utm_source=news&gclid=1"
EVERYTHING = Shields.from_rules(
    addresses=["0.0.0.0/0", "::/0"],
    countries=["ZZ", "DE"],
    pages=["*"],
    hostnames=["elsewhere.example"],
)


class Places:
    def locate(self, ip: str) -> Place:
        return Place("DE", "DE-BE", "", 2950159) if ip == BERLIN else NOWHERE


class Hosting:
    def contain(self, ip: str) -> bool:
        return ip == HOSTED


class Agents:
    def read(self, user_agent: str, hints: ClientHints) -> Device | None:
        return None if "bot" in user_agent else Device("Mobile", "iOS", "", "Safari")


@dataclass
class EndUsers:
    """Describes events of a site."""

    shields: Shields = field(default_factory=Shields)

    def __post_init__(self) -> None:
        self._steps = EndUserSteps(
            Enrichment(
                spam=SpamList(["spam.example"]),
                locator=Places(),
                data_centres=Hosting(),
                devices=Agents(),
                attributor=Attributor(packaged_sources()),
                rates={},
            )
        )

    def describe(self, event: str = "Clicked", /, **properties: Any) -> Facts | Reason:
        named = {f"${name}": value for name, value in properties.items()}
        return self._steps.describe(Event(event, "ada", properties=named), self.shields)


@pytest.fixture
def end_users() -> EndUsers:
    return EndUsers()


def test_an_event_without_an_end_user_says_nothing(end_users: EndUsers) -> None:
    end_users.shields = EVERYTHING

    assert end_users.describe() == {}
    assert end_users.describe(session_id="s", screen="x") == {}


def test_a_url_tells_page_source_tags_and_channel(end_users: EndUsers) -> None:
    assert end_users.describe(current_url=URL) == {
        "hostname": "example.com",
        "pathname": "/a b",
        "referrer_source": "news",
        "utm_source": "news",
        "click_id_param": "gclid",
        "acquisition_channel": "Referral",
    }


def test_a_url_without_any_source_came_direct(end_users: EndUsers) -> None:
    assert end_users.describe(current_url="https://example.com/") == {
        "hostname": "example.com",
        "pathname": "/",
        "acquisition_channel": "Direct",
    }


def test_a_referrer_tells_the_source_with_and_without_a_url(
    end_users: EndUsers,
) -> None:
    google = "https://www.google.de/search?q=x"

    alone = end_users.describe(referrer=google)
    on_a_page = end_users.describe(referrer=google, current_url="https://example.com")

    assert alone == {
        "referrer": "google.de/search",
        "referrer_source": "Google",
        "acquisition_channel": "Organic Search",
    }
    assert on_a_page == {"hostname": "example.com", "pathname": "/", **alone}


def test_an_address_tells_the_place(end_users: EndUsers) -> None:
    assert end_users.describe(ip=BERLIN) == {
        "country_code": "DE",
        "subdivision1_code": "DE-BE",
        "city_geoname_id": 2950159,
    }
    assert end_users.describe(ip="203.0.113.7") == {}


def test_an_agent_tells_the_device(end_users: EndUsers) -> None:
    assert end_users.describe(user_agent="Safari") == {
        "screen_size": "Mobile",
        "operating_system": "iOS",
        "browser": "Safari",
    }


@pytest.mark.parametrize(
    "properties,reason",
    [
        ({"referrer": "https://www.spam.example/"}, Reason.SPAM_REFERRER),
        ({"ip": HOSTED}, Reason.DC_IP),
        ({"user_agent": "A bot"}, Reason.BOT),
    ],
)
def test_some_end_users_are_unwanted_everywhere(
    end_users: EndUsers, properties: dict[str, str], reason: Reason
) -> None:
    assert end_users.describe(**properties) is reason


@pytest.mark.parametrize(
    "shields,properties,reason",
    [
        (
            Shields.from_rules(hostnames=["*.org"]),
            {"current_url": URL},
            Reason.SITE_HOSTNAME_ALLOWLIST,
        ),
        (
            Shields.from_rules(hostnames=["*.org"]),
            {"current_url": "/no/host"},
            Reason.SITE_HOSTNAME_ALLOWLIST,
        ),
        (
            Shields.from_rules(pages=["/a*"]),
            {"current_url": URL},
            Reason.SITE_PAGE_BLOCKLIST,
        ),
        (
            Shields.from_rules(addresses=["192.0.2.0/24"]),
            {"ip": BERLIN},
            Reason.SITE_IP_BLOCKLIST,
        ),
        (
            Shields.from_rules(countries=["DE"]),
            {"ip": BERLIN},
            Reason.SITE_COUNTRY_BLOCKLIST,
        ),
        (
            Shields.from_rules(countries=["ZZ"]),
            {"ip": "203.0.113.7"},
            Reason.SITE_COUNTRY_BLOCKLIST,
        ),
    ],
)
def test_shields_drop_what_a_site_does_not_want(
    end_users: EndUsers,
    shields: Shields,
    properties: dict[str, str],
    reason: Reason,
) -> None:
    assert isinstance(end_users.describe(**properties), dict)

    end_users.shields = shields

    assert end_users.describe(**properties) is reason


@pytest.mark.parametrize(
    "missing,reason",
    [
        ("", Reason.SPAM_REFERRER),
        ("referrer", Reason.DC_IP),
        ("referrer ip", Reason.SITE_HOSTNAME_ALLOWLIST),
        ("referrer ip current_url", Reason.BOT),
    ],
)
def test_the_first_step_that_drops_counts_and_a_step_needs_its_property(
    end_users: EndUsers, missing: str, reason: Reason
) -> None:
    end_users.shields = EVERYTHING
    properties = {
        "referrer": "https://spam.example",
        "ip": HOSTED,
        "current_url": URL,
        "user_agent": "A bot",
    }
    kept = {name: properties[name] for name in properties.keys() - missing.split()}

    assert end_users.describe(**kept) is reason


def test_an_address_rule_goes_before_a_country_rule(end_users: EndUsers) -> None:
    end_users.shields = EVERYTHING
    assert end_users.describe(ip=BERLIN) is Reason.SITE_IP_BLOCKLIST


@pytest.mark.parametrize("event", ["$identify", "$groupidentify", "$create_alias"])
def test_reserved_events_skip_bots_and_shields(end_users: EndUsers, event: str) -> None:
    end_users.shields = EVERYTHING

    facts = end_users.describe(
        event,
        referrer="https://spam.example/x",
        ip=BERLIN,
        current_url="https://example.com/a",
        user_agent="A bot",
    )

    assert facts == {
        "hostname": "example.com",
        "pathname": "/a",
        "country_code": "DE",
        "subdivision1_code": "DE-BE",
        "city_geoname_id": 2950159,
        "referrer": "spam.example/x",
        "referrer_source": "spam.example",
        "acquisition_channel": "Referral",
    }


@pytest.mark.parametrize("value", [None, "", 7, ["https://example.com"], {}, True])
def test_what_is_no_text_is_not_there(end_users: EndUsers, value: object) -> None:
    end_users.shields = EVERYTHING

    assert (
        end_users.describe(
            ip=value, user_agent=value, current_url=value, referrer=value
        )
        == {}
    )


@given(values=st.tuples(*[st.text(max_size=30) | st.integers()] * 4))
def test_facts_are_columns_of_rows(values: tuple[str | int, ...]) -> None:
    names = ("ip", "user_agent", "current_url", "referrer")
    end_users = EndUsers()

    facts = end_users.describe(**dict(zip(names, values, strict=True)))

    if isinstance(facts, dict):
        assert facts.keys() <= {column.name for column in COLUMNS}
        assert all(facts.values())
