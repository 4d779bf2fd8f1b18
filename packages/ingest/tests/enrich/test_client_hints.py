import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.enrich.agent_rules import Found
from headwater_ingest.enrich.client_hints import NO_HINTS, ClientHints

HEADERS = {
    "sec-ch-ua": '"Not/A)Brand";v="8", "Chromium";v="126", "Microsoft Edge";v="126"',
    "sec-ch-ua-full-version-list": '"Microsoft Edge";v="126.4.2"',
    "sec-ch-ua-platform": '"macOS"',
    "sec-ch-ua-platform-version": '"14.5.0"',
    "sec-ch-ua-mobile": "?0",
    "sec-ch-ua-model": '""',
    "user-agent": "Mozilla/5.0",
}


def test_headers_are_read() -> None:
    hints = ClientHints.from_headers(HEADERS)
    assert hints.browser() == Found("Microsoft Edge", "126.4")
    assert hints.operating_system("") == Found("Mac", "14.5")
    assert not hints.is_mobile
    assert not hints.is_headless
    assert hints.device_model == ""


def test_request_without_hints_has_none() -> None:
    hints = ClientHints.from_headers({"user-agent": "Mozilla/5.0"})
    assert hints == NO_HINTS
    assert hints.browser() is None
    assert hints.operating_system("") is None


def test_long_headers_are_cut() -> None:
    hints = ClientHints.from_headers(dict.fromkeys(HEADERS, "x" * 10_000))
    assert sum(map(len, msgspec.structs.astuple(hints))) == 672


@pytest.mark.parametrize(
    "brands, expected",
    [
        ('"Chromium";v="126", "Google Chrome";v="126"', Found("Chrome", "126")),
        ('"Google Chrome";v="126", "Chromium";v="126"', Found("Chrome", "126")),
        ('"Google Chrome";v="126", "Opera";v="112"', Found("Opera", "112")),
        ('" Not A;Brand";v="99", "Chromium";v="97"', Found("Chromium", "97")),
        ('"Samsung Internet"; v="25.0"', Found("Samsung Browser", "25.0")),
        ('"YaBrowser";v="24.4", "Chromium";v="122"', Found("Yandex Browser", "24.4")),
        ('"Vivaldi";v="6.8.3381.44"', Found("Vivaldi", "6.8")),
        ('"Vivaldi";v="next"', Found("Vivaldi", "")),
        ('"Somebody Else";v="1"', None),
        ("Vivaldi 6.8", None),
        ('"', None),
        ("", None),
    ],
)
def test_most_telling_brand_counts(brands: str, expected: Found | None) -> None:
    assert ClientHints(brands=brands).browser() == expected


def test_version_list_stands_in_for_the_brands() -> None:
    hints = ClientHints(full_version_list='"Brave";v="126.0.67", "Chromium";v="126.0"')
    assert hints.browser() == Found("Brave", "126.0")


@pytest.mark.parametrize(
    "platform, version, expected",
    [
        ('"Windows"', '"15.0.0"', ("Windows", "11")),
        ('"Windows"', '"13.0.0"', ("Windows", "11")),
        ('"Windows"', '"12.0.0"', ("Windows", "10")),
        ('"Windows"', '"1.0.0"', ("Windows", "10")),
        ('"Windows"', '"0.3.0"', ("Windows", "8.1")),
        ('"Windows"', '"0.2.0"', ("Windows", "8")),
        ('"Windows"', '"0.1.0"', ("Windows", "7")),
        ('"Windows"', '"0.0.0"', ("Windows", "")),
        ('"Windows"', "", ("Windows", "")),
        ('"Windows"', '"latest"', ("Windows", "")),
        ('"macOS"', '"15.1.0"', ("Mac", "15.1")),
        ('"Android"', '"14.0.0"', ("Android", "14")),
        ('"Android"', '"8.1.0"', ("Android", "8.1")),
        ('"Android"', '"9"', ("Android", "9")),
        ('"Linux"', '"6.8.0"', ("GNU/Linux", "")),
        ('"Chrome OS"', '"15917.71.0"', ("Chrome OS", "15917.71")),
        ('"Chromium OS"', "", ("Chrome OS", "")),
        ("Windows", "10.0", ("Windows", "10")),
    ],
)
def test_platform_has_our_names(
    platform: str, version: str, expected: tuple[str, str]
) -> None:
    hints = ClientHints(platform=platform, platform_version=version)
    assert hints.operating_system("Haiku OS") == expected


def test_unknown_platform_is_none() -> None:
    assert ClientHints(platform='"Toaster"').operating_system("Windows") is None


def test_version_without_platform_is_that_of_the_named_system() -> None:
    hints = ClientHints(platform_version='"14.0.0"')
    assert hints.operating_system("Android") == Found("Android", "14")


@pytest.mark.parametrize(
    "brands, is_headless",
    [('"HeadlessChrome";v="126"', True), ('"Chromium";v="126"', False), ("", False)],
)
def test_headless_browsers_say_so(brands: str, *, is_headless: bool) -> None:
    assert ClientHints(brands=brands).is_headless is is_headless
    assert ClientHints(full_version_list=brands).is_headless is is_headless


@given(st.dictionaries(st.sampled_from(sorted(HEADERS)), st.text()))
def test_any_headers_can_be_read(headers: dict[str, str]) -> None:
    hints = ClientHints.from_headers(headers)
    for found in (hints.browser(), hints.operating_system("Windows")):
        assert found is None or len(found.version) <= 21
