import pytest

from headwater_ingest.enrich.browsers import packaged_browsers

BLINK = "Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 (KHTML, like Gecko)"
CHROME = f"{BLINK} Chrome/126.0.0.0 Mobile Safari/537.36"


@pytest.mark.parametrize(
    "ending, expected",
    [
        ("", ("Chrome", "126.0")),
        ("AlohaBrowser/5.10.4", ("Aloha Browser", "5.10")),
        ("AvastSecureBrowser/7.6.1", ("Avast Secure Browser", "7.6")),
        ("Avira/126.0", ("Avira Secure Browser", "126.0")),
        ("AVG/126.0", ("AVG Secure Browser", "126.0")),
        ("DuckDuckGo/5", ("DuckDuckGo Privacy Browser", "5")),
        ("(Ecosia android@126.0.6478.72)", ("Ecosia", "126.0")),
        ("HeyTapBrowser/45.10.7.0", ("HeyTapBrowser", "45.10")),
        ("HonorBrowser/4.3.5.303", ("HONOR Browser", "4.3")),
        ("JioSphere/5.1", ("JioSphere", "5.1")),
        ("MiuiBrowser/14.12.0", ("Mi Browser", "14.12")),
        ("MQQBrowser/15.2", ("QQ Browser", "15.2")),
        ("Norton/126.0", ("Norton Private Browser", "126.0")),
        ("OculusBrowser/33.1", ("Oculus Browser", "33.1")),
        ("OPT/4.3", ("Opera Touch", "4.3")),
        ("PHX/15.7", ("Phoenix Browser", "15.7")),
        ("Puffin/10.4.0", ("Puffin Web Browser", "10.4")),
        ("Quark/6.12.5", ("Quark", "6.12")),
        ("RealmeBrowser/45.8", ("Realme Browser", "45.8")),
        ("Silk/126.4", ("Mobile Silk", "126.4")),
        ("Sleipnir/3.8.5", ("Sleipnir", "3.8")),
        ("VivoBrowser/22.5.0.0", ("vivo Browser", "22.5")),
        ("YaBrowser/24.4.3.96.00 (lite)", ("Yandex Browser", "24.4")),
        ("TikTok 34.5.3", ("Mobile App", "")),
        ("Snapchat/12.90", ("Mobile App", "")),
        ("Line/14.9.0", ("Mobile App", "")),
        ("MicroMessenger/8.0.49", ("Mobile App", "")),
        ("NAVER(inapp; search; 2000; 12.5.1)", ("Mobile App", "")),
        ("KAKAOTALK 10.8.3", ("Mobile App", "")),
        ("DaumApps/6.9.13", ("Mobile App", "")),
    ],
)
def test_browsers_have_the_names_of_matomo(
    ending: str, expected: tuple[str, str]
) -> None:
    agent = f"{CHROME} {ending}"
    assert packaged_browsers().read(agent, "Android") == expected


@pytest.mark.parametrize(
    "agent, system, expected",
    [
        ("SomeApp/1.2 (Android 14; de)", "Android", ("Mobile App", "")),
        ("SomeApp/1 CFNetwork/1 Darwin/23.5.0", "iOS", ("Mobile App", "")),
        ("SomeApp/1 CFNetwork/1 Darwin/22 (x86_64)", "Mac", ("Mobile App", "")),
        ("Some words about Android", "Android", ("", "")),
        ("ThatPodcastApp/1.2", "", ("Mobile App", "")),
        ("Dalvik/2.1.0 (Linux; U; Android 9; A1)", "Android", ("Android Browser", "")),
        ("MobileSafari/604.1 CFNetwork/1 Darwin/21.0.0", "iOS", ("Safari", "")),
        ("atc/1.0 watchOS/10.1 model/Watch7,5", "watchOS", ("", "")),
    ],
)
def test_unknown_program_on_a_telephone_is_an_app(
    agent: str, system: str, expected: tuple[str, str]
) -> None:
    assert packaged_browsers().read(agent, system) == expected


def test_web_view_keeps_the_version_of_its_engine() -> None:
    agent = f"{BLINK} Version/4.0 Chrome/126.0.6478.71 Mobile Safari/537.36"
    assert packaged_browsers().read(agent, "Android") == ("Mobile App", "126.0")


def test_television_is_no_browser() -> None:
    agent = f"{CHROME} HbbTV/1.6.1 (+DRM; LGE; 43UM767H0LC; WEBOS5.0; )"
    assert packaged_browsers().read(agent, "webOS") == ("Chrome", "126.0")


def test_rules_are_made_once() -> None:
    assert packaged_browsers() is packaged_browsers()
