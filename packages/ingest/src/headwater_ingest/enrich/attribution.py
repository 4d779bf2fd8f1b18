"""Attribution: where a visit came from, of the page's URL and the referrer."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final, NamedTuple

from headwater_ingest.enrich.channels import Visit, find_channel
from headwater_ingest.enrich.referrer import read_referrer
from headwater_ingest.enrich.sources import SourceTable
from headwater_ingest.enrich.tags import NO_TAGS, read_tags
from headwater_ingest.enrich.url import (
    MAX_URL_CHARS,
    NO_HOSTNAME,
    read_page,
    read_query,
)

_MAX_CACHED_CHARS: Final = 512
"""Longer URLs and referrers are read each time, so that the caches stay small."""

_MEDIUM_OF_CLICKS: Final = {
    ("Google", "gclid"): "(gclid)",
    ("Bing", "msclkid"): "(msclkid)",
}
"""The medium that a click id tells, by source, where the URL names none."""

_ReadReferrer = Callable[[str], tuple[str, str]]
_FindChannel = Callable[[Visit], str]


class Attribution(NamedTuple):
    """Where a visit came from: columns of its row. Empty means unknown."""

    referrer: str
    referrer_source: str
    acquisition_channel: str
    click_id_param: str
    utm_medium: str
    utm_source: str
    utm_campaign: str
    utm_content: str
    utm_term: str


class Attributor:
    """Attributes visits by one table of sources. Its caches hold what it said last.

    They are asked for what decides: the path of a page does not, and of its host only
    whether it is that of the referrer. Each holds at most
    4096 entries of at most 512 characters: some 10 MB when all of them are long.
    """

    def __init__(self, table: SourceTable) -> None:
        self._table = table
        self._uncached = partial(
            self._attribute,
            read_referrer=self._read_referrer,
            find_channel=self._find_channel,
        )
        self._cached = lru_cache(maxsize=4096)(
            partial(
                self._attribute,
                read_referrer=lru_cache(maxsize=4096)(self._read_referrer),
                find_channel=lru_cache(maxsize=4096)(self._find_channel),
            )
        )
        self.cache_info = self._cached.cache_info

    def attribute(self, url: str, referrer: str) -> Attribution:
        """Returns where a visit to `url` came from.

        Args:
            url: The page; empty if unknown.
            referrer: As the browser sent it; empty if there is none.
        """
        query = url[:MAX_URL_CHARS].partition("#")[0].partition("?")[2]
        if referrer and _is_of_page(referrer, url):
            referrer = ""
        if len(query) + len(referrer) <= _MAX_CACHED_CHARS:
            return self._cached(query, referrer)
        return self._uncached(query, referrer)

    def _attribute(
        self,
        query: str,
        referrer: str,
        *,
        read_referrer: _ReadReferrer,
        find_channel: _FindChannel,
    ) -> Attribution:
        tags = read_tags(read_query(query)) if query else NO_TAGS
        text, source = ("", "")
        if referrer:
            text, source = read_referrer(referrer)
        if tags.source:
            source = self._table.name_of(tags.source)
        click = tags.click_id_param
        medium = tags.medium or (click and _MEDIUM_OF_CLICKS.get((source, click), ""))
        visit = Visit(source, medium, tags.campaign, tags.source, click)
        return Attribution(
            referrer=text,
            referrer_source=source,
            acquisition_channel=find_channel(visit),
            click_id_param=click,
            utm_medium=medium,
            utm_source=tags.source,
            utm_campaign=tags.campaign,
            utm_content=tags.content,
            utm_term=tags.term,
        )

    def _read_referrer(self, referrer: str) -> tuple[str, str]:
        """Returns a referrer as it is stored, and the source that it tells."""
        found = read_referrer(referrer)
        if found is None:
            return "", ""
        source = self._table.find_referrer(*found)
        if source is None or source.name is None:
            return found.text, self._table.name_of(found.source)
        return found.text, source.name

    def _find_channel(self, visit: Visit) -> str:
        return find_channel(visit, self._table).value


def _is_of_page(referrer: str, url: str) -> bool:
    """Whether a referrer is a page of the host of another one, the site itself."""
    hostname = read_page(referrer).hostname
    return hostname != NO_HOSTNAME and hostname == read_page(url).hostname
