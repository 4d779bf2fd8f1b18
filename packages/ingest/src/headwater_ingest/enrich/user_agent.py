"""What an event's user agent and client hints say of device, system and browser.

The names are Matomo's after a small fold, so that `Chrome` is one browser on telephones
and desktops, and every page inside of an app is a visit from `Mobile App`.
"""

from functools import lru_cache
from typing import Final, NamedTuple

from headwater_ingest.enrich.agent_rules import Found
from headwater_ingest.enrich.bots import packaged_bots
from headwater_ingest.enrich.browsers import packaged_browsers
from headwater_ingest.enrich.client_hints import NO_HINTS, ClientHints
from headwater_ingest.enrich.device_class import packaged_devices
from headwater_ingest.enrich.operating_systems import packaged_systems

_MAX_AGENT_CHARS: Final = 2048
"""What is beyond this is not looked at. Agents of apps have up to 900 characters."""

_MAX_CACHED_CHARS: Final = 1024
_CACHED_AGENTS: Final = 8192

_VAGUE_BROWSERS: Final = frozenset({"Chrome", "Chromium"})
"""Names that Chromium's frozen agent gives to all that are made from it."""

_VAGUE_SYSTEMS: Final = frozenset({"", "Android", "GNU/Linux", "Windows", "Mac"})
"""Systems that a frozen or disguised agent names, whatever it runs on."""


class Device(NamedTuple):
    """Device, system and browser of an event: columns, empty where not known."""

    screen_size: str = ""
    operating_system: str = ""
    operating_system_version: str = ""
    browser: str = ""
    browser_version: str = ""


UNKNOWN_DEVICE: Final = Device()


class DeviceReader:
    """Reads devices. Safe to use from any thread; never raises.

    The last 8,192 agents of up to 1,024 characters are kept with their hints of up to
    672: at most 14 million characters, and 3 million of those that people use.
    """

    def __init__(self) -> None:
        self._bots = packaged_bots()
        self._browsers = packaged_browsers()
        self._systems = packaged_systems()
        self._devices = packaged_devices()
        self._cached = lru_cache(maxsize=_CACHED_AGENTS)(self._read)
        self.cache_info = self._cached.cache_info

    def read(self, user_agent: str, hints: ClientHints = NO_HINTS) -> Device | None:
        """Returns the device of an event, or None for a bot or headless browser."""
        if len(user_agent) <= _MAX_CACHED_CHARS:
            return self._cached(user_agent, hints)
        return self._read(user_agent[:_MAX_AGENT_CHARS], hints)

    def _read(self, agent: str, hints: ClientHints) -> Device | None:
        agent = _make_readable(agent)
        if hints.is_headless or self._bots.fit(agent):
            return None
        if not agent.strip():
            return UNKNOWN_DEVICE
        system = self._systems.read(agent)
        browser = self._browsers.read(agent, system.name)
        if not browser.name and self._bots.fit_without_client(agent):
            return None
        if hints != NO_HINTS:
            system = _choose_system(system, hints)
            browser = _choose_browser(browser, hints)
        screen = self._devices.read(_add_model(agent, hints), system.name)
        return Device(screen, *system, *browser)


def _make_readable(agent: str) -> str:
    """Replaces lone surrogates, which Rust cannot read."""
    return agent if agent.isascii() else agent.encode(errors="replace").decode()


def _choose_system(system: Found, hints: ClientHints) -> Found:
    """Takes the platform of the hints, unless the agent tells more of the same."""
    hinted = hints.operating_system(system.name)
    if hinted is None:
        return system
    if hinted.name == system.name:
        return Found(system.name, hinted.version or system.version)
    return hinted if system.name in _VAGUE_SYSTEMS else system


def _choose_browser(browser: Found, hints: ClientHints) -> Found:
    """Takes the brand of the hints where the agent only tells that of the engine."""
    hinted = hints.browser()
    if hinted is None or not browser.name:
        return hinted or browser
    if hinted.name == browser.name:
        return hinted if "." in hinted.version else browser
    is_telling = hinted.name != "Chromium" and browser.name in _VAGUE_BROWSERS
    return hinted if is_telling else browser


def _add_model(agent: str, hints: ClientHints) -> str:
    """Puts the model of the hints to where a telling agent has it."""
    model = _make_readable(hints.device_model)
    mobile = " Mobile" if hints.is_mobile else ""
    if not model and not mobile:
        return agent
    return f"{agent} (Linux; Android 10; {model}){mobile}" if model else agent + mobile
