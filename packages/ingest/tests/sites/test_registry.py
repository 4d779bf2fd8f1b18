from headwater_ingest.sites import Site, SiteRegistry
from headwater_ingest.sites.model import digest_key


def site(number: int, *keys: str) -> Site:
    return Site(number, f"site{number}.example", frozenset(map(digest_key, keys)))


def test_a_site_is_found_by_each_of_its_keys() -> None:
    registry = SiteRegistry()
    first, second = site(1, "key-a", "key-b"), site(2, "key-c")

    registry.replace([first, second])

    assert registry.by_key("key-a") is first
    assert registry.by_key("key-b") is first
    assert registry.by_key("key-c") is second
    assert len(registry) == 2


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


def test_a_registry_is_not_loaded_before_its_first_table() -> None:
    registry = SiteRegistry()
    assert not registry.is_loaded
    assert registry.by_key("key-a") is None

    registry.replace([])

    assert registry.is_loaded
