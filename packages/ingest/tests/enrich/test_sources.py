import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.enrich.sources import Category, Source, SourceTable

ANYTHING = st.text(st.characters(codec=None))

TABLE = SourceTable(
    [
        Source(
            "Finder",
            Category.SEARCH,
            hosts=("finder.*", "finder.example", "android-app://com.finder"),
            ads=("finder-ads",),
        ),
        Source("Finder Pictures", Category.SEARCH, hosts=("finder.*/images",)),
        Source("Finder Mail", Category.EMAIL, hosts=("mail.finder.*",)),
        Source("Friends", Category.SOCIAL, hosts=("friends.example",), tags=("fr",)),
        Source("Pages", Category.OTHER, tags=("pages.example", ".pages.example")),
        Source("Deep", Category.OTHER, hosts=("friends.example/a/b",)),
        Source("Deeper", Category.OTHER, hosts=("friends.example/a/b/c/",)),
        Source(None, Category.SHOPPING, hosts=("bazaar.*",), tags=("bazaar",)),
    ]
)


def find(host: str, path: str = "", scheme: str = "https") -> str | None:
    source = TABLE.find_referrer(scheme, host, path)
    return source and source.name


@pytest.mark.parametrize(
    "host",
    [
        "finder.com",
        "finder.fr",
        "finder.co.uk",
        "finder.com.au",
        "finder.co.jp",
        "finder.ne.jp",
        "maps.finder.com.br",
        "a.b.c.finder.de",
    ],
)
def test_family_of_hosts_stands_for_one_name_in_many_countries(host: str) -> None:
    assert find(host) == "Finder"


@pytest.mark.parametrize(
    "host",
    ["finder", "finder.info", "finder.evil.com", "myfinder.com", "finder.", "com", ""],
)
def test_family_of_hosts_takes_in_no_other_names(host: str) -> None:
    assert find(host) is None


@pytest.mark.parametrize(
    "host, path, name",
    [
        ("friends.example", "", "Friends"),
        ("m.friends.example", "/x", "Friends"),
        ("unfriends.example", "", None),
        ("friends.example", "/a/b", "Deep"),
        ("m.friends.example", "/a/b/x", "Deep"),
        ("friends.example", "/a/bc", "Friends"),
        ("friends.example", "/a/b/c", "Deeper"),
        ("mail.finder.com", "/x", "Finder Mail"),
        ("mail.finder.com", "/images", "Finder Mail"),
        ("finder.com", "/images/1", "Finder Pictures"),
    ],
)
def test_longest_match_tells_the_source_of_a_referrer(
    host: str, path: str, name: str | None
) -> None:
    assert find(host, path) == name


def test_app_is_found_by_its_package() -> None:
    assert find("com.finder", scheme="android-app") == "Finder"
    assert find("com.finder", scheme="https") is None
    assert find("com.finder.other", scheme="android-app") is None


def test_app_that_is_not_listed_is_found_by_its_host() -> None:
    assert find("friends.example", scheme="android-app") == "Friends"


@pytest.mark.parametrize(
    "tag, name",
    [
        ("finder", "Finder"),
        ("FINDER", "Finder"),
        ("Finder-Ads", "Finder"),
        ("fr", "Friends"),
        ("friends.example", "friends.example"),
        ("pages.example", "Pages"),
        ("de.m.Pages.example", "Pages"),
        ("mypages.example", "mypages.example"),
        ("bazaar", "bazaar"),
        ("Nobody", "Nobody"),
        ("", ""),
    ],
)
def test_tag_is_named_by_what_it_means(tag: str, name: str) -> None:
    assert TABLE.name_of(tag) == name


@pytest.mark.parametrize("tag, paid", [("Finder-ADS", True), ("finder", False)])
def test_paid_tags_are_told_from_others(tag: str, paid: bool) -> None:  # noqa: FBT001
    assert TABLE.is_paid(tag) is paid


@pytest.mark.parametrize(
    "name, category",
    [
        ("Friends", Category.SOCIAL),
        ("friends", Category.SOCIAL),
        ("fr", Category.SOCIAL),
        ("m.friends.example", Category.SOCIAL),
        ("finder.fr", Category.SEARCH),
        ("bazaar", Category.SHOPPING),
        ("www2.bazaar.it", Category.SHOPPING),
        ("Finder Mail", Category.EMAIL),
        ("android-app://com.finder", Category.SEARCH),
        ("Nobody", None),
        ("nobody.example", None),
        ("", None),
    ],
)
def test_source_has_a_category(name: str, category: Category | None) -> None:
    assert TABLE.category_of(name) is category


def test_later_row_wins() -> None:
    table = SourceTable(
        [
            Source("Old", Category.SEARCH, hosts=("a.example",), ads=("a-ads",)),
            Source("New", Category.VIDEO, hosts=("a.example",), tags=("a-ads",)),
        ]
    )
    assert table.name_of("a-ads") == "New"
    assert not table.is_paid("a-ads")
    found = table.find_referrer("https", "a.example", "")
    assert found is not None
    assert found.name == "New"


def test_host_of_a_million_labels_is_given_up_on() -> None:
    assert find("a." * 1_000_000 + "friends.example") is None


@given(ANYTHING, ANYTHING, st.sampled_from(["https", "android-app"]))
def test_no_text_makes_looking_up_fail(text: str, path: str, scheme: str) -> None:
    assert TABLE.name_of(text) is not None
    assert TABLE.is_paid(text) in {True, False}
    TABLE.category_of(text)
    TABLE.find_referrer(scheme, text, path)
