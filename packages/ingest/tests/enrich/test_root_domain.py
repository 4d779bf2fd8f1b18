import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.enrich.root_domain import root_domain, root_domain_cache_info


@pytest.mark.parametrize(
    "hostname, root",
    [
        ("example.com", "example.com"),
        ("a.b.example.com", "example.com"),
        ("EXAMPLE.com", "example.com"),
        ("a.b.shop.co.uk", "shop.co.uk"),
        ("foo.netlify.app", "foo.netlify.app"),
        ("www.foo.netlify.app", "foo.netlify.app"),
        ("one.city.kawasaki.jp", "city.kawasaki.jp"),
        ("a.unknown-suffix", "a.unknown-suffix"),
    ],
)
def test_root_domain_is_the_registrable_one(hostname: str, root: str) -> None:
    assert root_domain(hostname) == root


@pytest.mark.parametrize(
    "hostname",
    ["(none)", "localhost", "co.uk", "192.168.0.1", "2001:db8::1", "", ".", "\ud800.a"],
)
def test_hostname_without_registrable_domain_stays(hostname: str) -> None:
    assert root_domain(hostname) == hostname


def test_hostname_that_is_too_long_for_one_stays() -> None:
    before = root_domain_cache_info().currsize
    long = "a." * 500_000 + "com"
    assert root_domain(long) == long
    assert root_domain_cache_info().currsize == before


@given(st.text(st.characters(codec=None)))
def test_any_text_has_a_root_domain(hostname: str) -> None:
    assert isinstance(root_domain(hostname), str)
