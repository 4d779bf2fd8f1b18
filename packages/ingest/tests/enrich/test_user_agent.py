import csv
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headwater_ingest.enrich.client_hints import ClientHints
from headwater_ingest.enrich.user_agent import UNKNOWN_DEVICE, Device, DeviceReader

READER = DeviceReader()
COMMON_AGENTS = Path(__file__).parent / "data" / "common_agents.tsv"

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
LINUX = "Mozilla/5.0 (X11; Linux x86_64)"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X)"
IPAD = "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X)"
PHONE = "Mozilla/5.0 (Linux; Android 14; SM-S921B)"
TABLET = "Mozilla/5.0 (Linux; Android 13; SM-X700)"
FROZEN_PHONE = "Mozilla/5.0 (Linux; Android 10; K)"
TV = "Mozilla/5.0 (Web0S; Linux/SmartTV)"

WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
BLINK = "AppleWebKit/537.36 (KHTML, like Gecko)"
CHROME = f"{BLINK} Chrome/126.0.0.0 Safari/537.36"
CHROME_MOBILE = f"{BLINK} Chrome/126.0.0.0 Mobile Safari/537.36"
WEBVIEW = f"{BLINK} Version/4.0 Chrome/126.0.0.0 Mobile Safari/537.36"


def read(agent: str, **hints: str) -> Device:
    device = READER.read(agent, ClientHints(**hints))
    assert device is not None
    return device


@cache
def common_agents() -> list[dict[str, str]]:
    with COMMON_AGENTS.open(encoding="utf-8", newline="") as lines:
        rows = (line for line in lines if not line.startswith("#"))
        return list(csv.DictReader(rows, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.mark.parametrize("row", common_agents(), ids=lambda row: row["user_agent"])
def test_agent_tells_device_system_and_browser(row: dict[str, str]) -> None:
    device = read(row["user_agent"])
    assert device._asdict() == {name: row[name] for name in Device._fields}


@pytest.mark.parametrize("agent", ["", " ", "\t"])
def test_event_without_agent_has_no_device(agent: str) -> None:
    assert READER.read(agent) == UNKNOWN_DEVICE


@pytest.mark.parametrize(
    "agent",
    [
        f"{LINUX} {BLINK} HeadlessChrome/126.0.0.0 Safari/537.36",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "generic crawler",
    ],
)
def test_bot_has_no_device(agent: str) -> None:
    assert READER.read(agent) is None


@pytest.mark.parametrize("field", ["brands", "full_version_list"])
def test_headless_browser_that_only_its_hints_betray_is_a_bot(field: str) -> None:
    hints = ClientHints(**{field: '"HeadlessChrome";v="126"'})
    assert READER.read(f"{LINUX} {CHROME}", hints) is None


def test_windows_11_is_told_by_hints_only() -> None:
    hints = {"platform": '"Windows"', "platform_version": '"15.0.0"'}
    assert read(f"{WINDOWS} {CHROME}").operating_system_version == "10"
    assert read(f"{WINDOWS} {CHROME}", **hints).operating_system_version == "11"


def test_brave_is_told_by_hints_only() -> None:
    brands = '"Brave";v="126", "Chromium";v="126", "Not.A/Brand";v="8"'
    device = read(f"{WINDOWS} {CHROME}", brands=brands)
    assert device[3:] == ("Brave", "126")


def test_longer_version_of_the_hints_counts() -> None:
    brands = '"Brave";v="126", "Chromium";v="126"'
    versions = '"Brave";v="126.1.67.119", "Chromium";v="126.0.6478.61"'
    device = read(f"{WINDOWS} {CHROME}", brands=brands, full_version_list=versions)
    assert device[3:] == ("Brave", "126.1")


def test_shorter_version_of_the_hints_does_not_count() -> None:
    brands = '"Google Chrome";v="126", "Chromium";v="126"'
    assert read(f"{WINDOWS} {CHROME}", brands=brands)[3:] == ("Chrome", "126.0")


def test_browser_that_its_agent_names_stays_what_it_is() -> None:
    brands = '"Google Chrome";v="126", "Chromium";v="126"'
    device = read(f"{WINDOWS} {CHROME} Vivaldi/6.8", brands=brands)
    assert device[3:] == ("Vivaldi", "6.8")


def test_page_inside_an_app_stays_one() -> None:
    brands = '"Android WebView";v="126", "Chromium";v="126", "Not.A/Brand";v="8"'
    agent = f"Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) {WEBVIEW}"
    assert read(agent, brands=brands)[3:] == ("Mobile App", "126.0")


def test_chromium_tells_nothing_beside_another_name() -> None:
    device = read(f"{WINDOWS} {CHROME}", brands='"Chromium";v="126"')
    assert device[3:] == ("Chrome", "126.0")


def test_model_of_the_hints_tells_a_tablet_from_a_telephone() -> None:
    agent = f"{FROZEN_PHONE} {CHROME_MOBILE}"
    assert read(agent, model='"SM-X200"').screen_size == "Tablet"
    assert read(agent, model='"SM-S921B"').screen_size == "Mobile"


def test_model_of_the_hints_tells_a_telephone_that_asks_for_desktop_pages() -> None:
    agent = f"{FROZEN_PHONE} {CHROME}"
    assert read(agent, model='"Pixel 8"').screen_size == "Mobile"


def test_mobile_hint_tells_a_telephone() -> None:
    agent = f"{FROZEN_PHONE} {CHROME}"
    assert read(agent, mobile="?1").screen_size == "Mobile"
    assert read(agent, mobile="?0").screen_size == "Tablet"


def test_platform_of_the_hints_wins_over_a_disguise() -> None:
    device = read(
        f"{LINUX} {CHROME}", platform='"Android"', platform_version='"14"', mobile="?1"
    )
    assert device[:3] == ("Mobile", "Android", "14")


def test_platform_version_counts_without_a_platform() -> None:
    device = read(f"{FROZEN_PHONE} {CHROME_MOBILE}", platform_version='"14.0.0"')
    assert device[1:3] == ("Android", "14")


def test_system_that_its_agent_names_better_stays_what_it_is() -> None:
    agent = f"Mozilla/5.0 (Linux; Android 11; KFTRWI) {CHROME}"
    device = read(agent, platform='"Android"', platform_version='"11"')
    assert device[1:3] == ("Fire OS", "8")


def test_unknown_platform_changes_nothing() -> None:
    device = read(f"{WINDOWS} {CHROME}", platform='"Toaster"', platform_version='"7"')
    assert device[1:3] == ("Windows", "10")


@given(
    st.text() | st.text("()/;.,0123456789 ").map(lambda text: f"{WINDOWS} {text}"),
    st.builds(ClientHints, *[st.text()] * 6),
)
@example("\ud800 Chrome/1.2", ClientHints(model='"\udfff"'))
@example("\0", ClientHints('"\0";v="1"', "", "Windows", "9" * 5000, "?1", "\0"))
@example("iOS/99999999999999999999 Darwin/1.2 (x86_64)", ClientHints())
@example("Mozilla/5.0 (x) Darwin/1.2 (i386)", ClientHints())
def test_any_text_has_a_device_of_text_or_is_a_bot(
    agent: str, hints: ClientHints
) -> None:
    device = READER.read(agent, hints)
    assert device is None or all(type(column) is str for column in device)


@given(st.from_regex(r"\A(Chrome|Version|Android|OPR|iPhone OS)[/ ][0-9.]{1,2000}\Z"))
def test_versions_are_short(agent: str) -> None:
    device = READER.read(agent)
    assert device is None or all(len(column) <= 40 for column in device)


def test_agent_of_100_kb_is_looked_at_no_further_than_its_beginning() -> None:
    reader = DeviceReader()
    beginning = f"{WINDOWS} {BLINK} ".ljust(2048, "x")
    device = reader.read(beginning + " Chrome/126.0.0.0" * 6000)
    assert device == Device("Desktop", "Windows", "10")
    assert reader.read(f"{WINDOWS} {CHROME}".ljust(100_000, "x")) == read(
        f"{WINDOWS} {CHROME}"
    )


def test_long_agents_are_not_kept() -> None:
    reader = DeviceReader()
    reader.read("x" * 1025)
    assert reader.cache_info().currsize == 0


def test_agents_are_kept_with_their_hints() -> None:
    reader = DeviceReader()
    for hints in (ClientHints(), ClientHints(mobile="?1"), ClientHints(mobile="?1")):
        reader.read(f"{FROZEN_PHONE} {CHROME}", hints)
    assert reader.cache_info()[:2] == (1, 2)


def test_cache_has_a_bound() -> None:
    reader = DeviceReader()
    assert reader.cache_info().maxsize == 8192
