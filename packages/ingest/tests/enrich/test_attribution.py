import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.enrich.attribution import Attribution, Attributor
from headwater_ingest.enrich.sources_file import packaged_sources

ATTRIBUTOR = Attributor(packaged_sources())
NOWHERE = Attribution("", "", "Direct", "", "", "", "", "", "")
ANYTHING = st.text(st.characters(codec=None))


def attribute(url: str, referrer: str = "") -> Attribution:
    return ATTRIBUTOR.attribute(url, referrer)


def test_visit_of_which_nothing_is_known_is_direct() -> None:
    assert attribute("", "") == NOWHERE
    assert attribute("https://site.example/", "") == NOWHERE


@pytest.mark.parametrize(
    "referrer, text, source",
    [
        ("https://facebook.com/page/", "facebook.com/page", "Facebook"),
        ("https://www.google.co.uk/search?q=x", "google.co.uk/search", "Google"),
        ("https://news.example/a", "news.example/a", "news.example"),
        (
            "android-app://org.example/",
            "android-app://org.example",
            "android-app://org.example",
        ),
        ("https://temu.com", "temu.com", "temu.com"),
        ("ftp://wat", "", ""),
        ("https://www.site.example/x", "", ""),
    ],
)
def test_referrer_tells_the_source(referrer: str, text: str, source: str) -> None:
    found = attribute("https://site.example/", referrer)
    assert (found.referrer, found.referrer_source) == (text, source)


@pytest.mark.parametrize(
    "query, utm_source, source",
    [
        ("utm_source=facebook", "facebook", "Facebook"),
        ("source=Google-ads", "Google-ads", "Google"),
        ("ref=betalist", "betalist", "betalist"),
        ("utm_source=&ref=betalist", "betalist", "betalist"),
        ("utm_source=", "", "Hacker News"),
    ],
)
def test_tag_tells_the_source_before_the_referrer(
    query: str, utm_source: str, source: str
) -> None:
    found = attribute(
        f"https://site.example/?{query}", "https://news.ycombinator.com/item?id=1"
    )
    assert (found.utm_source, found.referrer_source) == (utm_source, source)
    assert found.referrer == "news.ycombinator.com/item"


@pytest.mark.parametrize(
    "url, referrer, medium",
    [
        ("https://a.b/?gclid=1", "https://google.com", "(gclid)"),
        ("https://a.b/?gclid=1&utm_source=google", "", "(gclid)"),
        ("https://a.b/?gclid=1&utm_medium=", "https://google.com", "(gclid)"),
        ("https://a.b/?msclkid=1", "https://bing.com", "(msclkid)"),
        ("https://a.b/?gclid=1&utm_medium=x", "https://google.com", "x"),
        ("https://a.b/?gclid=1", "https://bing.com", ""),
        ("https://a.b/?gbraid=1", "https://google.com", ""),
        ("https://a.b/?gclid=1", "", ""),
    ],
)
def test_click_id_tells_the_medium_of_its_own_network(
    url: str, referrer: str, medium: str
) -> None:
    assert attribute(url, referrer).utm_medium == medium


def test_all_columns_are_filled() -> None:
    url = (
        "https://a.b/?utm_source=yt-ads&utm_medium=Social&utm_campaign=c+1"
        "&utm_content=con&utm_term=%C3%A4&fbclid"
    )
    assert attribute(url, "https://www.example.com/x/?y#z") == Attribution(
        referrer="example.com/x",
        referrer_source="Youtube",
        acquisition_channel="Paid Video",
        click_id_param="fbclid",
        utm_medium="Social",
        utm_source="yt-ads",
        utm_campaign="c 1",
        utm_content="con",
        utm_term="ä",
    )


def test_long_texts_are_read_alike_but_never_cached() -> None:
    attributor = Attributor(packaged_sources())
    filler = "x=" + "y" * 600
    for url, referrer in [
        (f"https://a.b/?utm_source=fb&{filler}", ""),
        ("https://a.b/?utm_source=fb", f"https://c.example/?{filler}"),
        (f"https://a.b/?utm_source=fb&utm_term={filler}", "https://c.example/"),
        (f"https://a.b/?utm_source=fb&utm_campaign={filler}", ""),
    ]:
        assert attributor.attribute(url, referrer).acquisition_channel == (
            "Organic Social"
        )
    assert attributor.cache_info().currsize == 0


def test_visit_that_repeats_comes_from_the_cache() -> None:
    attributor = Attributor(packaged_sources())
    first = attributor.attribute("https://a.b/", "https://google.com")
    assert attributor.attribute("https://a.b/", "https://google.com") is first
    assert attributor.cache_info().hits == 1


def test_url_of_2_mb_and_referrer_of_1_mb_are_cut() -> None:
    found = attribute(
        "https://a.b/?utm_source=" + "x" * 2_000_000,
        "https://c.example/" + "y" * 1_000_000,
    )
    assert len(found.utm_source) < 2000
    assert len(found.referrer) < 2000


@given(ANYTHING, ANYTHING)
def test_no_texts_make_attribution_fail(url: str, referrer: str) -> None:
    assert attribute(url, referrer).acquisition_channel
    tagged = attribute(f"https://a.b/?utm_source={url}", f"https://{referrer}")
    assert tagged.acquisition_channel


@pytest.mark.parametrize(
    "url, referrer",
    [
        ("https://site.example/", "https://site.example/other"),
        ("https://site.example/", "https://www.SITE.example/other?q"),
        ("http://www.site.example:8080", "https://site.example"),
        ("android-app://site.example/x", "https://site.example/"),
    ],
)
def test_a_page_of_the_site_itself_is_no_referrer(url: str, referrer: str) -> None:
    assert attribute(url, referrer) == NOWHERE
    assert attribute("https://other.example/", referrer).referrer_source


def test_two_hosts_that_are_not_known_are_not_the_same() -> None:
    assert attribute("", "https://(none)/").referrer == "(none)"
