from contextlib import suppress
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headwater_ingest.enrich.networks import (
    Address,
    Network,
    NetworkSet,
    read_address,
    read_network,
)

ANYTHING = st.text(st.characters(codec=None))


@pytest.mark.parametrize(
    "text, canonical",
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:201", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_address_is_read_in_canonical_form(text: str, canonical: str) -> None:
    assert str(read_address(text)) == canonical


@pytest.mark.parametrize(
    "text", ["", "not-an-ip", "1", "127.1", "192.0.2.1:80", "192.0.2.0/24", "1" * 10**6]
)
def test_what_is_no_address_reads_as_none(text: str) -> None:
    assert read_address(text) is None


@pytest.mark.parametrize(
    "rule, address",
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1/32", "::ffff:192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.0/120", "192.0.2.77"),
        ("192.0.2.5/24", "192.0.2.200"),
        (" 192.0.2.0/24 ", "192.0.2.1"),
        ("2001:DB8::/32", "2001:db8:ffff::1"),
        ("2001:0db8::0001", "2001:db8::1"),
        ("0.0.0.0/0", "203.0.113.7"),
        ("::/0", "2001:db8::1"),
    ],
)
def test_address_is_in_the_network_of_a_rule(rule: str, address: str) -> None:
    found = read_address(address)
    assert found is not None
    assert found in NetworkSet.parse([rule])


@pytest.mark.parametrize(
    "rule, address",
    [
        ("192.0.2.1", "192.0.2.2"),
        ("192.0.2.0/25", "192.0.2.128"),
        ("::/0", "203.0.113.7"),
        ("0.0.0.0/0", "2001:db8::1"),
        ("::c000:201", "192.0.2.1"),
        ("0.0.0.1", "::1"),
    ],
)
def test_address_is_outside_the_network_of_a_rule(rule: str, address: str) -> None:
    found = read_address(address)
    assert found is not None
    assert found not in NetworkSet.parse([rule])


def test_any_rule_of_a_set_counts() -> None:
    networks = NetworkSet.parse(["192.0.2.0/24", "203.0.113.7", "2001:db8::/32"])
    assert ip_address("203.0.113.7") in networks
    assert ip_address("2001:db8::1") in networks
    assert ip_address("203.0.113.8") not in networks
    assert ip_address("0.192.0.2") not in networks  # the bits of 192.0.2.0/24


def test_set_is_true_when_it_holds_a_network() -> None:
    assert not NetworkSet()
    assert NetworkSet.parse(["192.0.2.1"])
    assert NetworkSet.parse(["192.0.2.0/24"])


@pytest.mark.parametrize("text", ["", "example.com", "192.0.2.0/33", "1.2.3", "::/129"])
def test_rule_that_is_no_network_says_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="is no address; write one such as"):
        read_network(text)


@st.composite
def draw_networks(draw: st.DrawFn) -> list[Network]:
    """Draws networks of any length, of which some are alike."""
    bases = draw(st.lists(st.ip_addresses(), min_size=1, max_size=4))
    return [
        ip_network((base, draw(st.integers(0, base.max_prefixlen))), strict=False)
        for base in draw(st.lists(st.sampled_from(bases), max_size=8))
    ]


@given(draw_networks(), st.lists(st.ip_addresses(), max_size=4))
def test_membership_agrees_with_the_standard_library(
    networks: list[Network], addresses: list[Address]
) -> None:
    held = NetworkSet(networks)
    for address in (*addresses, *(each[-1] for each in networks)):
        assert (address in held) is any(address in each for each in networks)


@given(ANYTHING | st.text("0123456789.:af%", max_size=20) | st.ip_addresses().map(str))
@example("01.2.3.4")
@example("1.2.3.4\0")
@example("::ffff:192.0.2.1")
@example("fe80::1%eth0")
def test_what_covers_a_text_is_what_has_its_address(text: str) -> None:
    address = read_address(text)
    for networks in (NetworkSet(), NetworkSet.parse(["0.0.0.0/1", "::/1", "fe80::/9"])):
        assert networks.covers(text) is (address is not None and address in networks)


@given(ANYTHING)
def test_no_text_makes_reading_an_address_fail(text: str) -> None:
    address = read_address(text)
    assert address is None or read_address(str(address)) == address


@given(ANYTHING)
def test_any_text_is_a_network_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert read_network(text).prefixlen >= 0
