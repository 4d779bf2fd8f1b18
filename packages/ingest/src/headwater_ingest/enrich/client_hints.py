"""User-agent client hints: what a browser says of itself beside its user agent.

Chromium freezes its user agent: Windows 11 is 10 there, Brave is Chrome, and no device
has a model. The hints tell. Each of them may be absent, and none is to be trusted more
than a user agent.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from headwater_ingest.enrich.agent_rules import Found, cut_version, join_version

_BRAND: Final = re.compile(r'"([^"]*)"\s*;\s*v\s*=\s*"([^"]*)"')

_BROWSERS: Final[Mapping[str, str]] = {
    "115Browser": "115 Browser",
    "360Safe": "360 Secure Browser",
    "AVG Secure Browser": "AVG Secure Browser",
    "Aloha Browser": "Aloha Browser",
    "Atom": "Atom",
    "Avast Secure Browser": "Avast Secure Browser",
    "AvastSecureBrowser": "Avast Secure Browser",
    "Avira Secure Browser": "Avira Secure Browser",
    "Brave": "Brave",
    "Brave Browser": "Brave",
    "CCleaner Browser": "CCleaner",
    "Chromium": "Chromium",
    "CocCoc": "Coc Coc",
    "Coc Coc": "Coc Coc",
    "CrowBrowser": "Crow Browser",
    "DuckDuckGo": "DuckDuckGo Privacy Browser",
    "Ecosia": "Ecosia",
    "Gener8": "Gener8",
    "Google Chrome": "Chrome",
    "HeyTapBrowser": "HeyTapBrowser",
    "HuaweiBrowser": "Huawei Browser Mobile",
    "Iron": "Iron",
    "Kiwi": "Kiwi",
    "Maxthon": "Maxthon",
    "Meta Quest Browser": "Oculus Browser",
    "Microsoft Edge": "Microsoft Edge",
    "MiuiBrowser": "Mi Browser",
    "Mi Browser": "Mi Browser",
    "Norton Private Browser": "Norton Private Browser",
    "Oculus Browser": "Oculus Browser",
    "Opera": "Opera",
    "Opera Air": "Opera Air",
    "Opera Crypto": "Opera Crypto",
    "Opera GX": "Opera GX",
    "Opera Mobile": "Opera",
    "OperaMobile": "Opera",
    "Phoenix Browser": "Phoenix Browser",
    "Quark": "Quark",
    "Samsung Internet": "Samsung Browser",
    "Seznam": "Seznam Browser",
    "Silk": "Mobile Silk",
    "UCBrowser": "UC Browser",
    "Vewd Core": "Vewd Browser",
    "Vivaldi": "Vivaldi",
    "VivoBrowser": "vivo Browser",
    "Wavebox": "Wavebox",
    "Whale": "Whale Browser",
    "YaBrowser": "Yandex Browser",
    "Yandex": "Yandex Browser",
}
"""Brands and the names that we give to them. Others, grease too, are passed over."""

_SYSTEMS: Final[Mapping[str, str]] = {
    "Android": "Android",
    "Chrome OS": "Chrome OS",
    "Chromium OS": "Chrome OS",
    "Linux": "GNU/Linux",
    "Windows": "Windows",
    "iOS": "iOS",
    "macOS": "Mac",
}

_WINDOWS_BEFORE_10: Final[Mapping[str, str]] = {"0.1": "7", "0.2": "8", "0.3": "8.1"}
_FIRST_WINDOWS_11: Final = 13
_ANDROID_WITHOUT_MINOR: Final = 10
"""Since this one Android's user agent has no second part."""


HINT_HEADERS: Final = frozenset(
    {
        "sec-ch-ua",
        "sec-ch-ua-full-version-list",
        "sec-ch-ua-platform",
        "sec-ch-ua-platform-version",
        "sec-ch-ua-mobile",
        "sec-ch-ua-model",
    }
)
"""The headers."""


class ClientHints(msgspec.Struct, frozen=True):
    """The hints of one request, as the headers have them; empty where absent."""

    brands: str = ""
    full_version_list: str = ""
    platform: str = ""
    platform_version: str = ""
    mobile: str = ""
    model: str = ""

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> "ClientHints":
        """Returns the hints among `headers`, whose names are in lower case.

        Only so many characters of each are looked at; real ones have fewer.
        """
        if HINT_HEADERS.isdisjoint(headers):
            return NO_HINTS
        get = headers.get
        return cls(
            get("sec-ch-ua", "")[:256],
            get("sec-ch-ua-full-version-list", "")[:256],
            get("sec-ch-ua-platform", "")[:32],
            get("sec-ch-ua-platform-version", "")[:32],
            get("sec-ch-ua-mobile", "")[:32],
            get("sec-ch-ua-model", "")[:64],
        )

    @property
    def is_headless(self) -> bool:
        """Whether the browser says that nobody sees it."""
        return "Headless" in self.brands or "Headless" in self.full_version_list

    @property
    def is_mobile(self) -> bool:
        """Whether the browser prefers pages for phones."""
        return self.mobile.strip() == "?1"

    @property
    def device_model(self) -> str:
        """The model of the device, or nothing."""
        return _unquote(self.model)

    def browser(self) -> Found | None:
        """Returns the most telling brand and its version."""
        brands = dict(_read_brands(self.brands or self.full_version_list))
        name = max(brands, key=_weigh_name, default=None)
        if name is None:
            return None
        full = dict(_read_brands(self.full_version_list)).get(name)
        return Found(name, full or brands[name])

    def operating_system(self, named: str) -> Found | None:
        """Returns the platform and its version.

        Args:
            named: The system that the user agent names: it is the platform if that
                header is absent.
        """
        platform = _unquote(self.platform)
        name = _SYSTEMS.get(platform) if platform else named
        if not name:
            return None
        return Found(name, _read_system_version(name, _unquote(self.platform_version)))


NO_HINTS: Final = ClientHints()


def _read_brands(header: str) -> Iterator[tuple[str, str]]:
    for brand, version in _BRAND.findall(header):
        name = _BROWSERS.get(brand)
        if name is not None:
            yield name, cut_version(version)


def _weigh_name(name: str) -> int:
    return {"Chromium": 0, "Chrome": 1}.get(name, 2)


def _read_system_version(name: str, text: str) -> str:
    version = cut_version(text)
    major, _, minor = version.partition(".")
    if not major:
        return ""
    if name == "Windows":
        return _read_windows_version(version, int(major[:9]))
    if name == "Android" and int(major[:9]) >= _ANDROID_WITHOUT_MINOR and minor == "0":
        return major
    return "" if name == "GNU/Linux" else join_version(major, minor)


def _read_windows_version(version: str, major: int) -> str:
    """Reads the version of the universal API contract, which is what Windows sends."""
    if major >= _FIRST_WINDOWS_11:
        return "11"
    return "10" if major else _WINDOWS_BEFORE_10.get(version, "")


def _unquote(header: str) -> str:
    return header.strip().strip('"').strip()
