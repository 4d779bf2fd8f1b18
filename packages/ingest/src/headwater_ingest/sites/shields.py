"""The shields of a site: what it does not want to count.

| shield | a rule is | it matches |
| --- | --- | --- |
| address | an address or a CIDR network | addresses inside, in canonical form |
| country | a two-letter code, `ZZ` for unknown | that country |
| page | a path; `*` stands for any characters | the whole path, case-sensitive |
| hostname | a name; `*` stands for any characters | the whole hostname |

The first three block. Hostname rules allow: once there is one, all others are blocked.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from headwater_ingest.enrich.networks import NetworkSet
from headwater_ingest.sites.shared_rules import SharedRules

UNKNOWN_COUNTRY: Final = "ZZ"

_WILDCARD: Final = re.compile(r"\*+")


class Patterns:
    """Some patterns that are matched against a whole text. Immutable.

    A match takes time in proportion to pattern and text, however many wildcards there
    are: the text between two of them is looked for once, from the left.
    """

    __slots__ = ("__weakref__", "_beginnings", "_endings", "_texts", "_wild")

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        pieces = [_WILDCARD.split(pattern) for pattern in patterns]
        self._texts = frozenset(each[0] for each in pieces if len(each) == 1)
        self._endings = tuple(
            each[1] for each in pieces if len(each) == 2 and not each[0]
        )
        self._wild = tuple(
            (each[0], tuple(each[1:-1]), each[-1])
            for each in pieces
            if len(each) > 2 or (len(each) == 2 and each[0])
        )
        self._beginnings = tuple(first for first, _, _ in self._wild)

    def matches(self, text: str) -> bool:
        """Tells whether one of the patterns matches all of `text`."""
        if text in self._texts or text.endswith(self._endings):
            return True
        if not text.startswith(self._beginnings):
            return False
        for first, middle, last in self._wild:
            if (
                text.startswith(first)
                and text.endswith(last)
                and _has_between(text, middle, len(first), len(text) - len(last))
            ):
                return True
        return False

    def __bool__(self) -> bool:
        return bool(self._texts or self._endings or self._wild)


_NO_NETWORKS: Final = NetworkSet()
_NO_PATTERNS: Final = Patterns()


@dataclass(frozen=True, slots=True)
class Shields:
    """The shields of one site, ready to be asked.

    Attributes:
        addresses: Blocked networks.
        countries: Blocked country codes, in upper case.
        pages: Blocked paths.
        hostnames: The only hostnames that are allowed, if there are any.
    """

    addresses: NetworkSet = _NO_NETWORKS
    countries: frozenset[str] = frozenset()
    pages: Patterns = _NO_PATTERNS
    hostnames: Patterns = _NO_PATTERNS

    @classmethod
    def from_rules(
        cls,
        *,
        addresses: Iterable[str] = (),
        countries: Iterable[str] = (),
        pages: Iterable[str] = (),
        hostnames: Iterable[str] = (),
    ) -> Self:
        """Returns the shields that these rules describe.

        Raises:
            ValueError: If an address rule is neither an address nor a network.
        """
        return cls(
            _networks.get(tuple(addresses)),
            _codes.get(tuple(countries)),
            _patterns.get(tuple(pages)),
            _patterns.get(tuple(name.lower() for name in hostnames)),
        )

    def blocks_address(self, ip: str) -> bool:
        """Tells whether events from `ip` are unwanted."""
        return bool(self.addresses) and self.addresses.covers(ip)

    def blocks_country(self, country_code: str) -> bool:
        """Tells whether events from a country are unwanted; empty means unknown."""
        return (country_code.upper() or UNKNOWN_COUNTRY) in self.countries

    def blocks_page(self, pathname: str) -> bool:
        """Tells whether events on a page are unwanted."""
        return self.pages.matches(pathname)

    def blocks_hostname(self, hostname: str) -> bool:
        """Tells whether events of a hostname, in lower case, are unwanted."""
        return bool(self.hostnames) and not self.hostnames.matches(hostname)


def _compile_codes(codes: tuple[str, ...]) -> frozenset[str]:
    return frozenset(code.upper() for code in codes)


# Ten thousand copies of the same thirty rules are 50 MB, of which no cache of the CPU
# has what the next event needs.
_networks: Final = SharedRules(NetworkSet.parse)
_codes: Final = SharedRules(_compile_codes)
_patterns: Final = SharedRules(Patterns)


def _has_between(text: str, pieces: tuple[str, ...], place: int, end: int) -> bool:
    """Tells whether `text` has the pieces one after the other from `place` to `end`.

    Taking the leftmost place for each is enough: it leaves most room for the next.
    """
    for piece in pieces:
        place = text.find(piece, place, end)
        if place < 0:
            return False
        place += len(piece)
    return place <= end
