import pytest

from headwater_ingest.sites import Site, SiteRegistry
from headwater_ingest.sites.model import digest_key


def site(number: int, *keys: str) -> Site:
    return Site(number, f"site{number}.example", frozenset(map(digest_key, keys)))


def renamed(number: int, domain: str, former_domain: str) -> Site:
    return Site(number, domain, frozenset(), former_domain=former_domain)


def test_a_site_is_found_by_each_of_its_keys() -> None:
    registry = SiteRegistry()
    first, second = site(1, "key-a", "key-b"), site(2, "key-c")

    registry.replace([first, second])

    assert registry.by_key("key-a") is first
    assert registry.by_key("key-b") is first
    assert registry.by_key("key-c") is second
    assert len(registry) == 2
    assert registry.sites == (first, second)


def test_an_unknown_key_has_no_site() -> None:
    registry = SiteRegistry()
    registry.replace([site(1, "key-a")])

    assert registry.by_key("key-A") is None
    assert registry.by_key("") is None
    assert registry.by_key("\udcff") is None


def test_a_key_that_was_taken_away_is_unknown() -> None:
    registry = SiteRegistry()
    registry.replace([site(1, "key-a")])
    registry.replace([site(1, "key-b")])

    assert registry.by_key("key-a") is None


def test_a_key_that_is_being_replaced_is_good_until_its_end() -> None:
    now_ms = 0
    registry = SiteRegistry(clock_ms=lambda: now_ms)
    old, new = digest_key("old"), digest_key("new")
    rotating = Site(1, "a.example", frozenset({old, new}), key_ends={old: 5000})
    registry.replace([rotating])

    now_ms = 4999
    assert registry.by_key("old") is rotating
    now_ms = 5000
    assert registry.by_key("old") is None
    assert registry.by_key("new") is rotating


def test_a_site_that_sums_up_others_has_no_key() -> None:
    registry = SiteRegistry()
    keys = frozenset({digest_key("key")})
    registry.replace([Site(1, "all.example", keys, is_consolidated=True)])

    assert registry.by_key("key") is None
    assert registry.by_domain("all.example") is not None


@pytest.mark.parametrize("domain", ["new.example", "old.example"])
def test_a_site_is_found_by_its_domain_and_by_the_former_one(domain: str) -> None:
    registry = SiteRegistry()
    registry.replace([renamed(1, "new.example", "old.example")])

    found = registry.by_domain(domain)

    assert found is not None
    assert found.id == 1


def test_a_leading_www_is_no_part_of_a_domain() -> None:
    registry = SiteRegistry()
    registry.replace([renamed(1, "www.new.example", "www.old.example")])

    assert registry.by_domain("new.example") is registry.by_domain("old.example")
    assert registry.by_domain("new.example") is not None


def test_who_has_a_domain_goes_before_who_had_it() -> None:
    registry = SiteRegistry()
    heir, owner = renamed(1, "new.example", "a.example"), renamed(2, "a.example", "")

    for order in ([heir, owner], [owner, heir]):
        registry.replace(order)
        assert registry.by_domain("a.example") is owner
        assert registry.by_domain("new.example") is heir


def test_an_unknown_domain_has_no_site() -> None:
    registry = SiteRegistry()
    registry.replace([site(1)])

    assert registry.by_domain("") is None
    assert registry.by_domain("other.example") is None


def test_a_registry_is_not_loaded_before_its_first_table() -> None:
    registry = SiteRegistry()
    assert not registry.is_loaded
    assert registry.by_key("key-a") is None

    registry.replace([])

    assert registry.is_loaded


def test_a_site_that_sums_up_others_receives_nothing() -> None:
    registry = SiteRegistry()
    consolidated = Site(3, "all.example", frozenset(), is_consolidated=True)
    registry.replace([site(1), site(2), consolidated])

    assert (len(registry), registry.receivers) == (3, 2)
