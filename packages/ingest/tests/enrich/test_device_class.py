import pytest

from headwater_ingest.enrich.device_class import packaged_devices

CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0"


def android(model: str, *, mobile: str = "") -> str:
    return f"Mozilla/5.0 (Linux; Android 13; {model}) {CHROME}{mobile} Safari/537.36"


@pytest.mark.parametrize(
    "model, screen",
    [
        ("Pixel 8", "Mobile"),
        ("SM-S921B", "Mobile"),
        ("K", "Mobile"),
        ("SM-T870", "Tablet"),
        ("SM-X906C", "Tablet"),
        ("Lenovo TB-X606F", "Tablet"),
        ("Redmi Pad SE", "Tablet"),
        ("Nexus 7", "Tablet"),
        ("BAH3-W09", "Tablet"),
        ("Galaxy Tab A8", "Tablet"),
        ("AFTMM", "Desktop"),
        ("BRAVIA 4K UR2", "Desktop"),
        ("43U600KD", "Desktop"),
        ("Chromecast Google TV", "Desktop"),
        ("SHIELD Android TV", "Desktop"),
        ("Retroid Pocket 4", "Desktop"),
        ("Quest 3", "Mobile"),
        ("SM-R890", "Mobile"),
        ("Lenovo Projector701", ""),
        ("yandexstation_2", ""),
    ],
)
def test_model_decides_on_the_screen(model: str, screen: str) -> None:
    agent = android(model, mobile=" Mobile")
    assert packaged_devices().read(agent, "Android") == screen


@pytest.mark.parametrize(
    "model, screen",
    [
        ("K", "Tablet"),
        ("SM-X906C", "Tablet"),
        ("Unheard-of 9", "Tablet"),
        ("SM-A536B", "Mobile"),
        ("Pixel 7 Pro", "Mobile"),
        ("CPH2387", "Mobile"),
        ("MIBOX4", "Desktop"),
        ("A95X F3", "Desktop"),
        ("X96 Max Plus", "Desktop"),
        ("SomeTV Box", "Desktop"),
        ("HiBox-hero", "Desktop"),
        ("TravelMate 8371", "Desktop"),
        ("DUDU7", "Tablet"),
    ],
)
def test_android_without_the_word_mobile_is_a_tablet_or_bigger(
    model: str, screen: str
) -> None:
    assert packaged_devices().read(android(model), "Android") == screen


@pytest.mark.parametrize(
    "agent, system, screen",
    [
        ("Mozilla/5.0 (X11; Linux x86_64)", "GNU/Linux", "Desktop"),
        ("Mozilla/5.0 (X11; FreeBSD amd64)", "FreeBSD", "Desktop"),
        ("Mozilla/5.0 (Windows NT 10.0)", "Windows", "Desktop"),
        ("Mozilla/5.0 (Windows NT 10.0; Xbox; Xbox One)", "Windows", "Desktop"),
        ("Mozilla/5.0 (Windows NT 6.2; ARM; Trident/7.0; Touch)", "Windows", "Tablet"),
        ("Mozilla/5.0 (iPad; CPU OS 12_5)", "iOS", "Tablet"),
        ("Mozilla/5.0 (iPod touch; CPU iPhone OS 12_5)", "iOS", "Mobile"),
        ("SomeApp/1 CFNetwork/1 Darwin/23.5.0", "iOS", ""),
        ("SomeApp/1.2 (Linux;Android 11) ExoPlayerLib/2.10", "Android", ""),
        ("Dalvik/2.1.0 (Linux; U; Android 9; A1 Build/PPR1)", "Android", "Mobile"),
        ("Mozilla/5.0 (Web0S; Linux/SmartTV)", "webOS", "Desktop"),
        ("Mozilla/5.0 (PLAYSTATION 3; 4.91)", "PlayStation", "Desktop"),
        ("Mozilla/5.0 (DTV) AppleWebKit/531.2+ Espial/6.0.4", "", "Desktop"),
        ("Mozilla/5.0 (X11; Linux) Tesla/2024.14", "GNU/Linux", "Tablet"),
        ("Linux UPnP/1.0 Sonos/79.0-52294 (ZPS22)", "GNU/Linux", ""),
        ("Nokia6230/2.0 Profile/MIDP-2.0", "Symbian", "Mobile"),
        ("curl/8.7", "", ""),
    ],
)
def test_screen_follows_from_device_and_system(
    agent: str, system: str, screen: str
) -> None:
    assert packaged_devices().read(agent, system) == screen


def test_rules_are_made_once() -> None:
    assert packaged_devices() is packaged_devices()
