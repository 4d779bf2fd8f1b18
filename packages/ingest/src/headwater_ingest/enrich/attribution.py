"""Attribution: where a visit came from, of the page's URL and the referrer."""

from functools import lru_cache
from typing import Final, NamedTuple

from headwater_ingest.enrich.channels import Visit, find_channel
from headwater_ingest.enrich.referrer import read_referrer
from headwater_ingest.enrich.sources import SourceTable
from headwater_ingest.enrich.tags import NO_TAGS, Tags, read_tags
from headwater_ingest.enrich.url import MAX_URL_CHARS, read_query, split_url

_MAX_CACHED_CHARS: Final = 512
"""Longer URLs and referrers are read each time, so that the caches stay small."""

_MEDIUM_OF_CLICKS: Final = {
    ("Google", "gclid"): "(gclid)",
    ("Bing", "msclkid"): "(msclkid)",
}
"""The medium that a click id tells, by source, where the URL names none."""


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

    They hold at most 4096 entries each, of URLs, referrers and tags of at most 512
    characters: some 10 MB when all of them are long.
    """

    def __init__(self, table: SourceTable) -> None:
        self._table = table
        self._attribute_cached = lru_cache(maxsize=4096)(self._attribute)
        self._referrer_cached = lru_cache(maxsize=4096)(self._read_referrer)
        self._channel_cached = lru_cache(maxsize=4096)(self._find_channel)
        self.cache_info = self._attribute_cached.cache_info

    def attribute(self, url: str, referrer: str) -> Attribution:
        """Returns where a visit to `url` came from.

        Args:
            url: The page; empty if unknown.
            referrer: As the browser sent it; empty if there is none.
        """
        if len(url) + len(referrer) <= _MAX_CACHED_CHARS:
            return self._attribute_cached(url, referrer)
        return self._attribute(url, referrer[:MAX_URL_CHARS])

    def _attribute(self, url: str, referrer: str) -> Attribution:
        parts = split_url(url)
        tags = read_tags(read_query(parts.query)) if parts.query else NO_TAGS
        text, source = self._find_referrer(referrer, parts.hostname)
        if tags.source:
            source = self._table.name_of(tags.source)
        medium = tags.medium or _MEDIUM_OF_CLICKS.get((source, tags.click_id_param), "")
        return Attribution(
            referrer=text,
            referrer_source=source,
            acquisition_channel=self._channel(source, medium, tags),
            click_id_param=tags.click_id_param,
            utm_medium=medium,
            utm_source=tags.source,
            utm_campaign=tags.campaign,
            utm_content=tags.content,
            utm_term=tags.term,
        )

    def _find_referrer(self, referrer: str, page_hostname: str) -> tuple[str, str]:
        if not referrer:
            return "", ""
        if len(referrer) + len(page_hostname) <= _MAX_CACHED_CHARS:
            return self._referrer_cached(referrer, page_hostname)
        return self._read_referrer(referrer, page_hostname)

    def _read_referrer(self, referrer: str, page_hostname: str) -> tuple[str, str]:
        """Returns a referrer as it is stored, and the source that it tells."""
        found = read_referrer(referrer, page_hostname)
        if found is None:
            return "", ""
        source = self._table.find_referrer(*found)
        if source is None or source.name is None:
            return found.text, self._table.name_of(found.source)
        return found.text, source.name

    def _channel(self, source: str, medium: str, tags: Tags) -> str:
        visit = Visit(source, medium, tags.campaign, tags.source, tags.click_id_param)
        if sum(map(len, visit)) <= _MAX_CACHED_CHARS:
            return self._channel_cached(visit)
        return self._find_channel(visit)

    def _find_channel(self, visit: Visit) -> str:
        return find_channel(visit, self._table).value
