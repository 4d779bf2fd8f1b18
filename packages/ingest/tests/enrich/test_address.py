import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.enrich.address import (
    MAX_ADDRESS_CHARS,
    Client,
    IpClass,
    read_client,
)
from headwater_ingest.enrich.networks import NetworkSet
from headwater_ingest.settings import Settings

TRUSTED = NetworkSet.parse(Settings().trusted_proxies)
PROXY = "10.0.0.1"
ANYTHING = st.text(st.characters(codec=None))
HEADERS = (
    "x-plausible-ip",
    "cf-connecting-ip",
    "b-forwarded-for",
    "x-forwarded-for",
    "forwarded",
)


def read_ip(headers: dict[str, str], peer: str = PROXY) -> str:
    return read_client(headers, peer, trusted=TRUSTED).ip


def test_peer_is_the_client_when_no_header_names_one() -> None:
    assert read_client({}, "192.0.2.55", trusted=TRUSTED) == Client("192.0.2.55", "")
    assert read_ip({}) == PROXY


@pytest.mark.parametrize("first", range(len(HEADERS)))
def test_first_header_in_order_names_the_client(first: int) -> None:
    headers = {
        name: f"for=192.0.2.{place}" if name == "forwarded" else f"192.0.2.{place}"
        for place, name in enumerate(HEADERS)
        if place >= first
    }
    assert read_ip(headers) == f"192.0.2.{first}"


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("empty", ["", " ", " , 198.51.100.2"])
def test_empty_header_is_passed_over(name: str, empty: str) -> None:
    if "," in empty and name not in {"b-forwarded-for", "x-forwarded-for"}:
        return
    headers = {name: empty, "forwarded": "for=203.0.113.7"}
    assert read_ip(headers) == "203.0.113.7"


@pytest.mark.parametrize("name", ["b-forwarded-for", "x-forwarded-for"])
def test_first_entry_of_a_list_counts(name: str) -> None:
    assert read_ip({name: " 192.0.2.1 , 10.0.0.3"}) == "192.0.2.1"


@pytest.mark.parametrize(
    "forwarded, ip",
    [
        ("for=192.0.2.1", "192.0.2.1"),
        ("For=192.0.2.1;proto=https", "192.0.2.1"),
        ("proto=https; for=192.0.2.1, for=10.0.0.2", "192.0.2.1"),
        ('for="[2001:db8::1]:4711"', "2001:db8::1"),
        (
            'by=0.0.0.0;for="[2001:218:1:1:1:1:1:1]",for=0.0.0.0;host=a.b;proto=https',
            "2001:218:1:1:1:1:1:1",
        ),
        ("proto=https", PROXY),
        ("for=", PROXY),
        ("", PROXY),
        ("notfor=192.0.2.1", PROXY),
    ],
)
def test_first_for_of_a_forwarded_header_counts(forwarded: str, ip: str) -> None:
    assert read_ip({"forwarded": forwarded}) == ip


@pytest.mark.parametrize(
    "sent, ip",
    [
        ("198.51.100.1:4711", "198.51.100.1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:db8::1:4711", "2001:db8::1:4711"),
        ("::ffff:198.51.100.1", "::ffff:198.51.100.1"),
        ("::ffff:198.51.100.1:80", "::ffff:198.51.100.1"),
        ("198.51.100.1:", "198.51.100.1:"),
        ("198.51.100.1:x", "198.51.100.1:x"),
        ("host:80", "host:80"),
        ("not-an-ip", "not-an-ip"),
        ("198.51.100.1:\u0661", "198.51.100.1:\u0661"),
    ],
)
def test_port_and_brackets_are_cut_and_nothing_else(sent: str, ip: str) -> None:
    assert read_ip({"x-forwarded-for": sent}) == ip


@pytest.mark.parametrize(
    "peer", ["127.0.0.1", "::1", "10.9.8.7", "172.31.0.1", "192.168.1.1", "fd00::1"]
)
def test_private_and_local_peers_are_trusted_by_default(peer: str) -> None:
    assert read_ip({"x-forwarded-for": "192.0.2.1"}, peer) == "192.0.2.1"


@pytest.mark.parametrize("peer", ["169.254.0.9", "fe80::1%eth0", "::ffff:10.0.0.1"])
def test_odd_forms_of_local_peers_are_trusted_too(peer: str) -> None:
    assert read_ip({"x-forwarded-for": "192.0.2.1"}, peer) == "192.0.2.1"


@pytest.mark.parametrize("peer", ["203.0.113.9", "172.32.0.1", "2001:db8::1", "host"])
def test_headers_of_other_peers_are_not_believed(peer: str) -> None:
    headers = dict.fromkeys(HEADERS, "for=192.0.2.1")
    headers["x-plausible-ip-type"] = "dc_ip"
    assert read_client(headers, peer, trusted=TRUSTED) == Client(peer, "")


def test_peer_of_a_unix_socket_is_trusted() -> None:
    assert read_ip({"x-forwarded-for": "192.0.2.1"}, "") == "192.0.2.1"
    assert read_ip({}, "") == ""


def test_mapped_address_of_a_peer_is_that_of_its_ipv4_address() -> None:
    assert read_ip({}, "::ffff:203.0.113.9") == "203.0.113.9"


def test_trusted_proxy_tells_the_class_of_the_address() -> None:
    headers = {"x-plausible-ip-type": "threat_ip"}
    client = read_client(headers, PROXY, trusted=TRUSTED)
    assert client.ip_class == IpClass.THREAT


@given(st.dictionaries(st.sampled_from(HEADERS), ANYTHING), ANYTHING)
def test_no_headers_make_reading_the_client_fail(
    headers: dict[str, str], peer: str
) -> None:
    assert read_client(headers, peer, trusted=TRUSTED).ip is not None
    assert read_client(headers, PROXY, trusted=TRUSTED).ip


def test_address_of_1_mb_is_cut() -> None:
    for name in HEADERS:
        ip = read_ip({name: "for=" + "1." * 500_000})
        assert len(ip) <= MAX_ADDRESS_CHARS
