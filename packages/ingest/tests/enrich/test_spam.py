from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.enrich.spam import SpamList, load_spam, packaged_spam
from headwater_ingest.errors import DataFileError

SPAM = SpamList(["spam.example", "www.Loud.Example", "", " ", "# a comment"])


@pytest.mark.parametrize(
    "referrer",
    [
        "https://spam.example",
        "https://www.spam.example/path?q#f",
        "HTTP://SPAM.example:8080",
        "ftp://spam.example",
        "//spam.example/",
        "https://loud.example/",
    ],
)
def test_host_on_the_list_is_spam(referrer: str) -> None:
    assert SPAM.has(referrer)


@pytest.mark.parametrize(
    "referrer",
    [
        "",
        "file:///x",
        "about:blank",
        "https:///",
        "https://www./",
        "https://sub.spam.example",
        "https://notspam.example",
        "https://a.example/?spam.example",
        "spam.example",
        "https://# a comment/",
    ],
)
def test_other_hosts_and_referrers_without_one_are_no_spam(referrer: str) -> None:
    assert not SPAM.has(referrer)


def test_packaged_list_has_notorious_hosts() -> None:
    assert packaged_spam().has("https://1-best-seo.com")
    assert packaged_spam().has("http://www.semalt.com/x")
    assert not packaged_spam().has("https://google.com")


def test_hosts_of_the_operator_are_added(tmp_path: Path) -> None:
    path = tmp_path / "spammers.txt"
    path.write_text("one.example\r\ntwo.example\n\n")
    spam = load_spam(path)
    assert spam.has("https://one.example")
    assert spam.has("https://two.example")
    assert spam.has("https://semalt.com")
    assert not spam.has("file:///x")


def test_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "spammers.txt"
    with pytest.raises(DataFileError, match="cannot be read"):
        load_spam(path)
    path.write_bytes(b"\xff")
    with pytest.raises(DataFileError, match="is no text"):
        load_spam(path)


def test_long_referrer_is_read_but_never_cached() -> None:
    spam = SpamList(["spam.example"])
    assert spam.has("https://spam.example/" + "x" * 1_000_000)
    assert spam.cache_info().currsize == 0


@given(st.text(st.characters(codec=None)))
def test_no_text_makes_the_look_up_fail(referrer: str) -> None:
    assert not SPAM.has(referrer)
