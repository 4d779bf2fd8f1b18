from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater_ingest.pipeline.page import MAX_URL_CHARS, read_page


@pytest.mark.parametrize(
    "url,hostname,pathname",
    [
        ("https://example.com/a/b?q=1#top", "example.com", "/a/b"),
        ("https://example.com", "example.com", "/"),
        ("https://example.com?q=1", "example.com", "/"),
        ("https://example.com/a/", "example.com", "/a/"),
        # The examples of the reference.
        ("about:config", "(none)", "config"),
        ("/a/b", "(none)", "/a/b"),
        ("chrome-extension://abc/popup.html", "abc", "/popup.html"),
        ("file:///x/y", "(none)", "/x/y"),
        # Hosts are in lower case, and a leading `www.` is cut in any case.
        ("https://WWW.Example.com/A", "example.com", "/A"),
        ("https://www.www.example.com/", "www.example.com", "/"),
        ("https://wwwexample.com/", "wwwexample.com", "/"),
        ("https://www./", "(none)", "/"),
        # Neither user nor port belongs to a host.
        ("https://ada:secret@example.com:8443/a", "example.com", "/a"),
        ("https://a@b@example.com:/", "example.com", "/"),
        ("https://example.com:port/", "example.com:port", "/"),
        ("https://[2001:DB8::7]:8443/a", "2001:db8::7", "/a"),
        ("https://[::1]", "::1", "/"),
        ("https://user@/a", "(none)", "/a"),
        ("//example.com/a", "example.com", "/a"),
        ("https:// example.com /a", "example.com", "/a"),
        # Paths are percent-decoded as far as that goes.
        ("https://example.com/caf%C3%A9%20bar", "example.com", "/café bar"),
        ("https://example.com/a+b", "example.com", "/a+b"),
        ("https://example.com/50%", "example.com", "/50%"),
        ("https://example.com/%zz%4", "example.com", "/%zz%4"),
        ("https://example.com/%ff", "example.com", "/\ufffd"),
        ("https://example.com/a%00b", "example.com", "/ab"),
        ("https://example.com/ a %20\t", "example.com", "/ a"),
        ("https://example.com/a%2Fb%3Fc", "example.com", "/a/b?c"),
        ("https://example.com/a\nb", "example.com", "/a\nb"),
        ("", "(none)", "/"),
        (" ", "(none)", ""),
        ("?q=1", "(none)", "/"),
        ("#top", "(none)", "/"),
        ("example.com/a", "(none)", "example.com/a"),
        (":::", "(none)", ":::"),
    ],
)
def test_a_url_gives_hostname_and_pathname(
    url: str, hostname: str, pathname: str
) -> None:
    assert read_page(url) == (hostname, pathname)


def test_a_long_url_is_cut_before_it_is_read() -> None:
    hostname, pathname = read_page("https://example.com/" + "a" * 3_000_000)

    assert hostname == "example.com"
    assert len("https://example.com" + pathname) == MAX_URL_CHARS


def test_long_urls_do_not_fill_the_memory() -> None:
    before = read_page("https://example.com/" + "b" * MAX_URL_CHARS)

    # The same object: what lies beyond the cut is not even a key of the cache.
    assert read_page("https://example.com/" + "b" * 3_000_000) is before


@settings(deadline=None)
@given(st.text())
def test_anything_is_a_url(url: str) -> None:
    hostname, pathname = read_page(url)

    assert hostname == hostname.lower() != ""
    assert "\0" not in pathname
    assert pathname == pathname.rstrip()


@settings(deadline=None)
@given(st.from_regex(r"[a-z0-9.-]{1,30}", fullmatch=True), st.text())
def test_a_query_or_fragment_never_reaches_the_pathname(host: str, end: str) -> None:
    page = read_page(f"https://{host}/a")

    assert read_page(f"https://{host}/a?{end}") == page
    assert read_page(f"https://{host}/a#{end}") == page
