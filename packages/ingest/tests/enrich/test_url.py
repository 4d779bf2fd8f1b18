import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.enrich.url import (
    MAX_URL_CHARS,
    NO_HOSTNAME,
    Page,
    UrlParts,
    read_hash_page,
    read_page,
    read_query,
    split_url,
)

ANYTHING = st.text(st.characters(codec=None))
SCHEMES = st.sampled_from(["http:", "https:", "HTTP:", "ftp:", "http:/", ""])
URL_LIKE = st.text("aw.W-:/?#@[]%+&=1 \n", max_size=60)


@pytest.mark.parametrize(
    "url, parts",
    [
        ("https://a.b/c?d#e", UrlParts("https", "a.b", "/c", "d", "e")),
        ("HTTPS://A.b", UrlParts("https", "a.b", "", None, None)),
        ("//a.b/c", UrlParts(None, "a.b", "/c", None, None)),
        ("/a/b", UrlParts(None, None, "/a/b", None, None)),
        ("about:config", UrlParts("about", None, "config", None, None)),
        ("file:///x", UrlParts("file", "", "/x", None, None)),
        ("http://a.b?", UrlParts("http", "a.b", "", "", None)),
        ("http://a.b#", UrlParts("http", "a.b", "", None, "")),
        ("http://a.b/?x?y#z?#", UrlParts("http", "a.b", "/", "x?y", "z?#")),
        ("http://a.b/#\n", UrlParts("http", "a.b", "/", None, "\n")),
        ("", UrlParts(None, None, "", None, None)),
    ],
)
def test_url_is_split_into_its_parts(url: str, parts: UrlParts) -> None:
    assert split_url(url) == parts


@pytest.mark.parametrize(
    "authority, host",
    [
        ("example.com:8080", "example.com"),
        ("example.com:", "example.com"),
        ("example.com:port", "example.com"),
        ("user:pass@example.com", "example.com"),
        ("a@b@example.com", "example.com"),
        ("[2001:DB8::1]:4000", "2001:db8::1"),
        ("u@[::1]", "::1"),
        ("[::1", ""),
        (" example.com ", "example.com"),
        (":80", ""),
        ("@", ""),
        ("WWW.Example.COM", "www.example.com"),
    ],
)
def test_host_has_neither_user_nor_port_nor_brackets(authority: str, host: str) -> None:
    assert split_url(f"http://{authority}/x").host == host


@pytest.mark.parametrize(
    "url, hostname",
    [
        ("http://www.example.com/", "example.com"),
        ("http://WwW.example.com/", "example.com"),
        ("http://www.www.example.com/", "www.example.com"),
        ("http://wwwexample.com/", "wwwexample.com"),
        ("http://www./", "(none)"),
        ("http://www.", "(none)"),
        ("http://a.b:80", "a.b"),
        ("http://www.a.b:80?x", "a.b"),
        ("http://a.b:", "a.b"),
        ("http://a.b:port/", "a.b"),
        ("http://a.b\n", "a.b"),
        ("/a/b", "(none)"),
        ("file:///x/y", "(none)"),
        ("http:// /", "(none)"),
        ("chrome-extension://abc/popup.html", "abc"),
    ],
)
def test_hostname_is_lower_case_without_leading_www(url: str, hostname: str) -> None:
    assert read_page(url).hostname == hostname


@pytest.mark.parametrize(
    "url, pathname",
    [
        ("http://a.b", "/"),
        ("http://a.b?x=1", "/"),
        ("http://a.b/c/", "/c/"),
        ("http://a.b/a%20b+c", "/a b+c"),
        ("http://a.b/100%/%zz", "/100%/%zz"),
        ("http://a.b/x%20%0A", "/x"),
        ("http://a.b/%EF%BA%9D", "/\ufe9d"),
        ("http://a.b/%ff", "/\ufffd"),
        ("http://a.b/c#d", "/c"),
        ("http://a.b:8080/c#d", "/c"),
        ("http://a.b:8080", "/"),
        ("about:config", "config"),
        (" ", ""),
    ],
)
def test_pathname_is_decoded_and_trimmed_at_its_end(url: str, pathname: str) -> None:
    assert read_page(url).pathname == pathname


@pytest.mark.parametrize(
    "url, pathname",
    [
        ("http://a.b/#page%20a ", "/#page a "),
        ("http://a.b/c #d", "/c#d"),
        ("http://a.b/#", "/#"),
        ("http://a.b/c", "/c"),
    ],
)
def test_hash_page_has_the_fragment_as_sent_but_decoded(
    url: str, pathname: str
) -> None:
    assert read_hash_page(url) == Page("a.b", pathname)


@pytest.mark.parametrize(
    "query, parameters",
    [
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a=1&a=2", {"a": "2"}),
        ("a", {"a": ""}),
        ("a=b=c", {"a": "b=c"}),
        ("a+b=c+d", {"a b": "c d"}),
        ("a=%2B%25+%zz", {"a": "+% %zz"}),
        ("a%62=1", {"ab": "1"}),
        ("a=1;b=2", {"a": "1;b=2"}),
    ],
)
def test_query_is_form_decoded(query: str, parameters: dict[str, str]) -> None:
    assert read_query(query) == parameters


@pytest.mark.parametrize("query", [None, ""])
def test_missing_query_has_no_named_parameter(query: str | None) -> None:
    assert set(read_query(query)) <= {""}


def test_url_of_2_mb_is_cut_before_it_is_read() -> None:
    assert len(read_page("http://a.b/" + "x" * 2_000_000).pathname) < MAX_URL_CHARS
    assert len(read_page("http://" + "x" * 2_000_000).hostname) < MAX_URL_CHARS


@given(ANYTHING | URL_LIKE | st.builds("{}//{}".format, SCHEMES, URL_LIKE))
def test_a_page_is_made_of_the_parts_of_its_url(url: str) -> None:
    parts = split_url(url)
    pathname = read_page("http://h" + (parts.path or "/")).pathname
    hostname = parts.hostname or NO_HOSTNAME
    if not parts.path or parts.path.startswith("/"):
        assert read_page(url) == Page(hostname, pathname)


@given(ANYTHING | URL_LIKE)
def test_any_text_is_a_url(url: str) -> None:
    parts = split_url(url)
    assert parts.host is None or parts.host == parts.host.strip().lower()
    page = read_page(url)
    assert page.hostname
    assert read_hash_page(url).pathname.startswith(page.pathname)


@given(URL_LIKE)
def test_parts_of_a_short_url_are_all_of_it(url: str) -> None:
    parts = split_url(url)
    assert url.endswith(
        parts.path
        + ("" if parts.query is None else f"?{parts.query}")
        + ("" if parts.fragment is None else f"#{parts.fragment}")
    )


@given(ANYTHING)
def test_any_text_is_a_query(query: str) -> None:
    assert read_query(query)
