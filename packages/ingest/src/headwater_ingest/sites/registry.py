"""The sites in force, found by write key or by domain.

A look-up by key hashes the key that was sent and finds the digest in a table: about
1 µs, no comparison with a secret that could be timed, nothing remembered about unknown
keys. `replace` may be called from any thread; a reader sees the old tables or the new
ones.
"""

import time
from collections.abc import Callable, Iterable

from headwater_ingest.sites.model import Site, bare_domain, digest_key


class SiteRegistry:
    """The sites of this node; empty and not loaded until the first `replace`."""

    def __init__(
        self, *, clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        """Begins with no sites.

        Args:
            clock_ms: By which a key that is being replaced comes to its end.
        """
        self._clock_ms = clock_ms
        self._sites: tuple[Site, ...] = ()
        self._by_digest: dict[bytes, Site] = {}
        self._by_domain: dict[str, Site] = {}
        self._loaded = False
        self._whole = False

    def __len__(self) -> int:
        return len(self._sites)

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites in force."""
        return self._sites

    @property
    def receivers(self) -> int:
        """How many sites there are that may get events."""
        return sum(not site.is_consolidated for site in self._sites)

    @property
    def is_loaded(self) -> bool:
        """Whether any table of sites has been put in force yet."""
        return self._loaded

    @property
    def is_whole(self) -> bool:
        """Whether there can be no site but those in force.

        Until then it is not known whose a strange key or domain is: whoever sends it
        must be told to come back, not that it belongs to nobody.
        """
        return self._whole

    def by_key(self, key: str) -> Site | None:
        """Return the site that a write key belongs to, or None."""
        digest = digest_key(key)
        site = self._by_digest.get(digest)
        if site and site.key_ends:
            ends_at_ms = site.key_ends.get(digest)
            if ends_at_ms is not None and self._clock_ms() >= ends_at_ms:
                return None
        return site

    def by_domain(self, domain: str) -> Site | None:
        """Return the site that has a domain, or had it before its last change.

        Args:
            domain: In lower case, without a leading `www.`.
        """
        return self._by_domain.get(domain)

    def replace(self, sites: Iterable[Site], *, are_all: bool = True) -> None:
        """Put a new table of sites in force, all at once.

        Where two sites claim the same key or domain, the later one has it.

        Args:
            sites: The sites.
            are_all: Whether there can be no others.
        """
        table = tuple(sites)
        # A site that only sums up others has no door by which events could come.
        self._by_digest = {
            digest: site
            for site in table
            if not site.is_consolidated
            for digest in site.key_digests
        }
        # Who has a domain now goes before who had it once.
        self._by_domain = {
            bare_domain(site.former_domain): site
            for site in table
            if site.former_domain
        } | {bare_domain(site.domain): site for site in table}
        self._sites = table
        self._loaded = True
        self._whole = are_all
