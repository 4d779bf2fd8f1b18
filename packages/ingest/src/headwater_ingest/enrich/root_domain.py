"""The registrable domain of a hostname, by the Public Suffix List.

Visitors are told apart per registrable domain, so that `shop.example.com` and
`example.com` have the same ones, but `one.github.io` and `two.github.io` do not.
"""

from functools import cache, lru_cache
from typing import Final

from publicsuffixlist import PublicSuffixList

from headwater_ingest.enrich.networks import read_address

_MAX_CHARS: Final = 253
"""Nothing longer is a name in the DNS."""


def root_domain(hostname: str) -> str:
    """Returns the registrable domain of `hostname`, in lower case.

    It is the hostname itself when there is none: `(none)`, an address, `localhost`, a
    bare suffix such as `co.uk`.
    """
    return _root_domain(hostname) if len(hostname) <= _MAX_CHARS else hostname.lower()


@lru_cache(maxsize=32_768)
def _root_domain(hostname: str) -> str:
    hostname = hostname.lower()
    if _may_be_address(hostname) and read_address(hostname) is not None:
        return hostname
    return _suffixes().privatesuffix(hostname) or hostname


def _may_be_address(hostname: str) -> bool:
    """Spares most names the parse of an address, which fails slowly (5 µs)."""
    return ":" in hostname or hostname[-1:].isdecimal()


root_domain_cache_info: Final = _root_domain.cache_info
"""How often `root_domain` knew its answer."""


@cache
def _suffixes() -> PublicSuffixList:
    """Loads the list at its first use: 65 ms, which few commands need."""
    return PublicSuffixList()
