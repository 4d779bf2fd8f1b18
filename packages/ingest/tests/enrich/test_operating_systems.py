import pytest

from headwater_ingest.enrich.operating_systems import packaged_systems


@pytest.mark.parametrize(
    "agent, expected",
    [
        ("Windows NT 10.0; Win64", ("Windows", "10")),
        ("Windows NT 6.3", ("Windows", "8.1")),
        ("Windows NT 6.1", ("Windows", "7")),
        ("Windows NT 6.0", ("Windows", "Vista")),
        ("Windows NT 5.2", ("Windows", "Server 2003")),
        ("Windows NT 5.1", ("Windows", "XP")),
        ("Windows NT 5.0", ("Windows", "2000")),
        ("Windows 98; Win 9x 4.90", ("Windows", "ME")),
        ("Windows NT 6.3; ARM; Trident/7.0", ("Windows RT", "8.1")),
        ("Windows Phone 10.0; Android 6.0.1", ("Windows Phone", "10.0")),
        ("Windows CE; IEMobile 8.12", ("Windows CE", "")),
        ("Macintosh; Intel Mac OS X 10_15_7)", ("Mac", "10.15")),
        ("Macintosh; U; PPC Mac OS X; en", ("Mac", "")),
        ("(macOS Version 14.5)", ("Mac", "14.5")),
        ("App/1 CFNetwork/673 Darwin/13.0.0 (x86_64)", ("Mac", "10.9")),
        ("App/1 CFNetwork/1 Darwin/20.1.0 (x86_64)", ("Mac", "11")),
        ("App/1 CFNetwork/1 Darwin/24.1.0 (x86_64)", ("Mac", "15")),
        ("App/1 CFNetwork/1 Darwin/25.1.0 (x86_64)", ("Mac", "26")),
        ("App/1 CFNetwork/1 Darwin/1.0.0 (x86_64)", ("Mac", "")),
        ("App/1 CFNetwork/1496.0.7 Darwin/23.5.0", ("iOS", "17.5")),
        ("App/1 CFNetwork/1498 Darwin/23.6.0", ("iOS", "17.6")),
        ("iPhone; CPU iPhone OS 17_5_1 like Mac OS X", ("iOS", "17.5")),
        ("iPhone; CPU iPhone OS 19_0 like Mac OS X", ("iOS", "26.0")),
        ("iPad; CPU OS 12_5 like Mac OS X", ("iOS", "12.5")),
        ("iPad; CPU OS 13_1 like Mac OS X", ("iPadOS", "13.1")),
        ("iPad; CPU OS 19_1 like Mac OS X", ("iPadOS", "26.1")),
        ("atc/1.0 watchOS/10.1 model/Watch7,5", ("watchOS", "10.1")),
        ("AppleTV6,2/11.1", ("tvOS", "11.1")),
        ("Linux; Android 14; Pixel 8", ("Android", "14")),
        ("Linux; U; Android 4.4.2; de", ("Android", "4.4")),
        ("UCWEB/2.0 (MIDP-2.0; U; Adr 9; en-US)", ("Android", "9")),
        ("okhttp/4.12", ("Android", "")),
        ("Linux; Android 9; AFTMM Build/PS7233", ("Fire OS", "7")),
        ("Linux; Android 11; KFTRWI", ("Fire OS", "8")),
        ("Linux; Android 5.1.1; KFSUWI", ("Fire OS", "5")),
        ("Linux; Android 4.4.3; KFTHWI", ("Fire OS", "4.5")),
        ("Linux; Android 99; KFNEXT", ("Fire OS", "")),
        ("Linux; Android 12; HarmonyOS; NOH-AN00", ("HarmonyOS", "")),
        ("Phone; OpenHarmony 5.0", ("OpenHarmony", "5.0")),
        ("Linux; Android 11; SM-R890", ("Wear OS", "")),
        ("Linux; Andr0id 9; BRAVIA", ("Android TV", "9")),
        ("X11; Linux x86_64", ("GNU/Linux", "")),
        ("X11; Ubuntu; Linux x86_64", ("Ubuntu", "")),
        ("X11; Fedora; Linux x86_64", ("Fedora", "")),
        ("X11; U; Linux i686; Gecko Fedora/1.9.0.8-1.fc10", ("Fedora", "10")),
        ("Debian-3.0.6-3", ("Debian", "3.0")),
        ("X11; CrOS x86_64 14541.0.0", ("Chrome OS", "14541.0")),
        ("Linux; Android 9; HP Chromebook 13 G1", ("Chrome OS", "")),
        ("X11; FreeBSD amd64", ("FreeBSD", "")),
        ("X11; SunOS 5.10 i86pc", ("Solaris", "5.10")),
        ("Mobile; rv:48.0; Android) KAIOS/2.5.2", ("KaiOS", "2.5")),
        ("SMART-TV; LINUX; Tizen 7.0", ("Tizen", "7.0")),
        ("Web0S; Linux/SmartTV", ("webOS", "")),
        ("Web0S; Linux/SmartTV) WEBOS22 03.34", ("webOS", "22")),
        ("Web0S; Linux/SmartTV) (LGE; DTV_W18Z)", ("webOS", "4")),
        ("PlayStation 4 10.50", ("PlayStation", "4.10")),
        ("PlayStation Vita 3.74", ("PlayStation Portable", "Vita")),
        ("Nintendo Switch; WebApplet", ("Nintendo", "Switch")),
        ("Roku/DVP-12.5", ("Roku OS", "12.5")),
        ("X11; Linux armv7l) CrKey/1.56", ("GNU/Linux", "")),
        ("Fuchsia) CrKey/1.56", ("Fuchsia", "")),
        ("SymbianOS/9.4; Series60/5.0", ("Symbian OS Series 60", "")),
        ("BB10; Touch) Version/10.3.3", ("BlackBerry OS", "10.3")),
        ("Wireshark/3.4.9 WinSparkle/0.5.7 (Win64)", ("Windows", "")),
        ("SomeApp-Android", ("Android", "")),
        ("Nothing that we know", ("", "")),
    ],
)
def test_systems_have_the_names_of_matomo(
    agent: str, expected: tuple[str, str]
) -> None:
    assert packaged_systems().read(agent) == expected


def test_rules_are_made_once() -> None:
    assert packaged_systems() is packaged_systems()
