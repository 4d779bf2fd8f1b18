"""Where an address is: country, subdivisions and city.

A database of the operator tells all of these if it has MaxMind's schema
(`country.iso_code`, `subdivisions[].iso_code`, `city.geoname_id`), and the country if
it has the flat one (`country_code`). Without a database the country is told by the
registries' own records, which come in a package.
"""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import iptocc
import maxminddb

from headwater_ingest.enrich.address import Client, IpClass
from headwater_ingest.enrich.city_overrides import find_city
from headwater_ingest.enrich.mmdb import find_record, open_database
from headwater_ingest.enrich.networks import read_address

_KEYS: Final = frozenset(
    {"country", "registered_country", "continent", "country_code", "city"}
)
_NO_COUNTRIES: Final = frozenset({"ZZ", "XX", "T1"})
_COUNTRY: Final = re.compile("[A-Z][A-Z0-9]")
_SUBDIVISION: Final = re.compile("[A-Z0-9]{1,8}")
_MAX_UINT32: Final = 2**32 - 1


class Place(NamedTuple):
    """Where an address is: columns of its row. Empty or 0 means unknown."""

    country_code: str
    subdivision1_code: str
    subdivision2_code: str
    city_geoname_id: int


NOWHERE: Final = Place("", "", "", 0)
_ANONYMOUS_VPN: Final = IpClass.ANONYMOUS_VPN
ANONYMOUS: Final = Place("A1", "", "", 0)
"""The place of an anonymising VPN, whose addresses say nothing of its users."""


class Locator(Protocol):
    """Tells where addresses are."""

    def locate(self, ip: str) -> Place:
        """Returns the place of an address; `NOWHERE` for what is none."""
        ...


class RegistryCountries:
    """Tells countries by the records of the regional internet registries.

    It has no cache: that would cost more than it saves.
    """

    def locate(self, ip: str) -> Place:
        """Returns the country of an address."""
        if ":" in ip:
            ip = str(read_address(ip) or "")
        # Of text that is no address it knows no country, but it wants Unicode.
        country = iptocc.country_code(ip) if ip.isascii() else None
        return _in_country(country) if country else NOWHERE


class GeoDatabase:
    """Tells places by a database. Its cache holds what it said last, in memory only."""

    def __init__(self, reader: maxminddb.Reader) -> None:
        self._reader = reader
        self._cached = lru_cache(maxsize=4096)(self._locate)
        self.cache_info = self._cached.cache_info

    @classmethod
    def open(cls, path: Path) -> "GeoDatabase":
        """Opens the database at `path`.

        Raises:
            DataFileError: If it cannot be read, or is no database of places.
        """
        return cls(open_database(path, keys=_KEYS))

    def locate(self, ip: str) -> Place:
        """Returns the place of an address."""
        return self._cached(ip)

    def _locate(self, ip: str) -> Place:
        return _read_place(find_record(self._reader, ip))


def locate_client(client: Client, locator: Locator) -> Place:
    """Returns where a client is, as far as its address can tell."""
    if client.ip_class == _ANONYMOUS_VPN:
        return ANONYMOUS
    return locator.locate(client.ip)


@cache
def _in_country(code: str) -> Place:
    return Place(code, "", "", 0)


def _read_place(record: Mapping[str, Any]) -> Place:
    country = _read_country(record)
    if not country:
        return NOWHERE
    subdivisions = _as_list(record.get("subdivisions"))
    return Place(
        country,
        _read_subdivision(country, subdivisions[:1]),
        _read_subdivision(country, subdivisions[1:2]),
        _read_city(record.get("city")),
    )


def _read_country(record: Mapping[str, Any]) -> str:
    country = record.get("country")
    if isinstance(country, dict):
        code = country.get("iso_code")
    else:
        code = record.get("country_code", country)
    if isinstance(code, str) and _COUNTRY.fullmatch(code) and code not in _NO_COUNTRIES:
        return code
    return ""


def _read_subdivision(country: str, entry: list[Any]) -> str:
    code = entry[0].get("iso_code") if entry and isinstance(entry[0], dict) else None
    if isinstance(code, str) and _SUBDIVISION.fullmatch(code):
        return f"{country}-{code}"
    return ""


def _read_city(city: object) -> int:
    geoname_id = city.get("geoname_id") if isinstance(city, dict) else None
    if isinstance(geoname_id, int) and 0 <= geoname_id <= _MAX_UINT32:
        return find_city(geoname_id)
    return 0


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
