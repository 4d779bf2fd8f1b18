import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.enrich.referrer import Referrer, read_referrer
from headwater_ingest.enrich.url import MAX_URL_CHARS

ANYTHING = st.text(st.characters(codec=None))


@pytest.mark.parametrize(
    "referrer, text, source",
    [
        ("https://facebook.com/page/", "facebook.com/page", "facebook.com"),
        ("https://WWW.Facebook.com//", "facebook.com", "facebook.com"),
        ("HTTP://u:p@a.example:80/%20?q#f", "a.example/%20", "a.example"),
        ("https://www.markosaric.com", "markosaric.com", "markosaric.com"),
        (
            "android-app://com.reddit.frontpage/x/",
            "android-app://com.reddit.frontpage/x",
            "android-app://com.reddit.frontpage",
        ),
        ("https://sub.site.example/", "sub.site.example", "sub.site.example"),
        ("https://localhost.example/", "localhost.example", "localhost.example"),
    ],
)
def test_referrer_is_host_and_path(referrer: str, text: str, source: str) -> None:
    found = read_referrer(referrer)
    assert found is not None
    assert (found.text, found.source) == (text, source)


@pytest.mark.parametrize(
    "referrer",
    [
        "",
        "ftp://wat",
        "about:blank",
        "file:///x",
        "https:///x",
        "http://www./",
        "a.example/path",
        "//a.example/path",
        "http://localhost:4000/",
    ],
)
def test_what_is_not_from_outside_is_no_referrer(referrer: str) -> None:
    assert read_referrer(referrer) is None


def test_referrer_has_a_host() -> None:
    assert read_referrer("https://a.example") == Referrer("https", "a.example", "")
    assert read_referrer("https://") is None


def test_referrer_of_1_mb_is_cut() -> None:
    found = read_referrer("https://a.example/" + "x" * 1_000_000)
    assert found is not None
    assert len(found.text) < MAX_URL_CHARS


@given(ANYTHING | ANYTHING.map(lambda text: f"https://{text}"))
def test_no_text_makes_reading_a_referrer_fail(referrer: str) -> None:
    found = read_referrer(referrer)
    assert found is None or found.host
