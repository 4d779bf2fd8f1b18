"""The table of sources: which referrer or tag means which, and of what category.

A source is what a report calls the place that a visit came from: `Google`, `Facebook`,
`news.example`. Rows come from `sources_file.py`; this module only looks them up.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

ANDROID_APP: Final = "android-app"
"""The scheme of referrers that are Android apps."""

_APP_PREFIX: Final = f"{ANDROID_APP}://"
_FAMILY: Final = ".*"
_MAX_LABELS: Final = 16
"""No more domains above a host are looked for, so that work is bounded."""

_COUNTRY_SUFFIX: Final = re.compile(r"\.(?:com|(?:(?:com?|ne|or)\.)?[a-z]{2})\Z")
"""What `.*` stands for in a family of hosts such as `google.*`."""


class Category(StrEnum):
    """What kind of place a source is. It decides on the acquisition channel."""

    SEARCH = "search"
    AI = "ai"
    SOCIAL = "social"
    VIDEO = "video"
    SHOPPING = "shopping"
    EMAIL = "email"
    OTHER = "other"


class Source(NamedTuple):
    """A row of the table.

    Attributes:
        name: What reports call it; None for one that keeps the form in which it came.
        category: Its category.
        hosts: Hosts of its referrers, as the table's file describes them.
        tags: Tags that mean it, in lower case, its name apart; `.example.com` stands
            for all names below that domain.
        ads: The same, for tags of paid traffic.
    """

    name: str | None
    category: Category
    hosts: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    ads: tuple[str, ...] = ()


_Places = dict[str, tuple[tuple[str, Source], ...]]
"""Sources by host, each with the path that it is found at, longest first."""


class SourceTable:
    """All sources. Of two rows that claim the same host or tag the later one wins."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._texts: dict[str, Source] = {}
        self._ads: set[str] = set()
        places: dict[str, dict[str, Source]] = {}
        for source in sources:
            self._add_texts(source)
            for place in source.hosts:
                host, path = _split_place(place)
                places.setdefault(host, {})[path] = source
        self._hosts = _order_places(places)

    def name_of(self, tag: str) -> str:
        """Returns what reports call the source that `tag` means, else the tag."""
        source = self._find_text(tag.lower())
        return source.name if source and source.name else tag

    def is_paid(self, tag: str) -> bool:
        """Tells whether `tag` is only used for paid traffic."""
        return tag.lower() in self._ads

    def find_referrer(self, scheme: str, host: str, path: str) -> Source | None:
        """Returns the source whose referrers come from there."""
        if scheme == ANDROID_APP and (found := self._look_up(_APP_PREFIX + host, "")):
            return found
        return self._find_host(host, path)

    def category_of(self, name: str) -> Category | None:
        """Returns the category of a source as it is stored: a name, a tag or a host."""
        name = name.lower()
        source = self._texts.get(name)
        if source is None and "." in name:
            source = self._look_up(name, "") or self._find_host(name, "")
        return source and source.category

    def _add_texts(self, source: Source) -> None:
        texts = source.tags + source.ads
        if source.name is not None:
            texts += (source.name.lower(),)
        for text in texts:
            self._texts[text] = source
            self._ads.discard(text)
        self._ads.update(source.ads)

    def _find_text(self, text: str) -> Source | None:
        """Looks for the text, then for `.domain` of each domain above it."""
        found = self._texts.get(text)
        for _ in range(_MAX_LABELS):
            _, dot, text = text.partition(".")
            if found is not None or not dot:
                break
            found = self._texts.get(f".{text}")
        return found

    def _find_host(self, host: str, path: str) -> Source | None:
        """Looks for the host, then for each domain above it."""
        match = _COUNTRY_SUFFIX.search(host)
        stem = host[: match.start()] if match else ""
        domain = host
        for _ in range(_MAX_LABELS):
            found = self._look_up(domain, path)
            if found is None and stem:
                found = self._look_up(stem + _FAMILY, path)
            domain = domain.partition(".")[2]
            if found is not None or not domain:
                return found
            stem = stem.partition(".")[2]
        return None

    def _look_up(self, host: str, path: str) -> Source | None:
        for prefix, source in self._hosts.get(host, ()):
            if not prefix or path == prefix or path.startswith(f"{prefix}/"):
                return source
        return None


def _split_place(place: str) -> tuple[str, str]:
    """Splits a host from the path it may have, and marks families with `.*`."""
    if place.startswith(_APP_PREFIX):
        return place, ""
    host, slash, path = place.partition("/")
    return host, (slash + path).rstrip("/")


def _order_places(places: Mapping[str, Mapping[str, Source]]) -> _Places:
    return {
        host: tuple(sorted(paths.items(), key=lambda item: -len(item[0])))
        for host, paths in places.items()
    }
