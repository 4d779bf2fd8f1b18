import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.sites.shields import Patterns, Shields

ANYTHING = st.text(st.characters(codec=None))


def test_site_without_rules_blocks_nothing() -> None:
    shields = Shields()
    assert not shields.blocks_address("192.0.2.1")
    assert not shields.blocks_country("")
    assert not shields.blocks_page("/")
    assert not shields.blocks_hostname("(none)")


@pytest.mark.parametrize(
    "rule, path",
    [
        ("/test", "/test"),
        ("/test/*", "/test/"),
        ("/test/*", "/test/a/b"),
        ("/test/**", "/test/a/b"),
        ("/*/end", "/a/b/end"),
        ("/a*a", "/aa"),
        ("/a*b*c", "/a1b2c"),
        ("/a*\n*c", "/a\n\nc"),
        ("*", "/anything"),
    ],
)
def test_page_rule_matches_a_whole_path(rule: str, path: str) -> None:
    assert Shields.from_rules(pages=[rule]).blocks_page(path)


@pytest.mark.parametrize(
    "rule, path",
    [
        ("/test", "/test/hello"),
        ("/test", "/Test"),
        ("/test", "/a/test"),
        ("/test/*", "/test"),
        ("/*/end", "/end"),
        ("/a*a", "/a"),
        ("/a.c", "/abc"),
        ("/a*b*c", "/a1c2b"),
        ("/a*b*bc", "/abc"),
        ("/test$", "/test"),
    ],
)
def test_page_rule_leaves_other_paths_alone(rule: str, path: str) -> None:
    assert not Shields.from_rules(pages=[rule]).blocks_page(path)


@pytest.mark.parametrize(
    "rules, hostname",
    [
        (["test.example.com"], "test.example.com"),
        (["*example.com"], "www.example.com"),
        (["a.example", "b.example"], "b.example"),
        (["(none)"], "(none)"),
        (["A.Example"], "a.example"),
    ],
)
def test_hostname_of_a_rule_is_allowed(rules: list[str], hostname: str) -> None:
    assert not Shields.from_rules(hostnames=rules).blocks_hostname(hostname)


@pytest.mark.parametrize(
    "rules, hostname",
    [
        (["test.example.com"], "other.example.com"),
        (["test.example.com"], "test"),
        (["*example.com"], "example.com.pl"),
        (["a.example"], "(none)"),
    ],
)
def test_hostname_of_no_rule_is_blocked(rules: list[str], hostname: str) -> None:
    assert Shields.from_rules(hostnames=rules).blocks_hostname(hostname)


@pytest.mark.parametrize(
    "rule, ip",
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2001:db8::/32", "2001:DB8:1::1"),
        ("192.0.2.0/24", "192.0.2.77"),
        ("192.0.2.0/24", "::ffff:192.0.2.77"),
    ],
)
def test_address_rule_blocks_addresses_inside(rule: str, ip: str) -> None:
    assert Shields.from_rules(addresses=[rule]).blocks_address(ip)


@pytest.mark.parametrize("ip", ["198.51.100.1", "2001:db8::1", "not-an-ip", ""])
def test_address_rule_leaves_others_alone(ip: str) -> None:
    assert not Shields.from_rules(addresses=["192.0.2.0/24"]).blocks_address(ip)


def test_address_rule_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`1\.2\.3` is no address"):
        Shields.from_rules(addresses=["1.2.3"])


@pytest.mark.parametrize(
    "rule, country",
    [("US", "US"), ("us", "US"), ("US", "us"), ("ZZ", ""), ("ZZ", "ZZ")],
)
def test_country_rule_blocks_its_country_and_zz_the_unknown(
    rule: str, country: str
) -> None:
    assert Shields.from_rules(countries=[rule]).blocks_country(country)


@pytest.mark.parametrize("rule, country", [("US", "GB"), ("US", ""), ("ZZ", "US")])
def test_country_rule_leaves_others_alone(rule: str, country: str) -> None:
    assert not Shields.from_rules(countries=[rule]).blocks_country(country)


@given(st.text("ab*", max_size=8), st.text("ab", max_size=12))
def test_pattern_matches_what_its_regular_expression_does(
    pattern: str, text: str
) -> None:
    expected = re.fullmatch(pattern.replace("*", ".*"), text, re.DOTALL)
    assert Patterns([pattern]).matches(text) is bool(expected)


def test_pattern_of_124_wildcards_takes_no_time() -> None:
    started = time.perf_counter()
    assert not Patterns(["/" + "*a" * 124 + "b"]).matches("/" + "a" * 2000)
    assert time.perf_counter() - started < 0.1


@given(st.lists(ANYTHING, max_size=5), ANYTHING)
def test_no_text_makes_asking_fail(rules: list[str], text: str) -> None:
    shields = Shields.from_rules(
        countries=rules, pages=rules, hostnames=rules, addresses=["192.0.2.0/24"]
    )
    assert isinstance(shields.blocks_page(text), bool)
    assert isinstance(shields.blocks_hostname(text), bool)
    assert isinstance(shields.blocks_country(text), bool)
    assert not shields.blocks_address(text)


def test_sites_with_the_same_rules_share_them() -> None:
    first, second = (
        Shields.from_rules(
            addresses=["192.0.2.1"],
            countries=["US"],
            pages=["/a"],
            hostnames=["a.example"],
        )
        for _ in range(2)
    )
    assert first.addresses is second.addresses
    assert first.countries is second.countries
    assert first.pages is second.pages
    assert first.hostnames is second.hostnames
