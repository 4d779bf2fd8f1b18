"""Whether an address belongs to a data centre, by the network that announces it.

People do not browse from data centres; programs do. The table of hosting networks
leaves out those that people's traffic leaves from: Cloudflare, Akamai and Fastly carry
Apple's and Cloudflare's relays, and Google's own network its employees and proxies.
"""

from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final, Protocol

import maxminddb

from headwater_ingest.enrich.mmdb import find_record, open_database
from headwater_ingest.enrich.packaged import read_packaged_csv

_KEYS: Final = frozenset({"autonomous_system_number", "asn"})


class DataCentres(Protocol):
    """Tells addresses of data centres from others."""

    def contain(self, ip: str) -> bool:
        """Tells whether an address belongs to a data centre."""
        ...


class NoDataCentres:
    """Knows of no data centre: what there is without a database of networks."""

    def contain(self, ip: str) -> bool:  # noqa: ARG002
        """Tells that the address belongs to none."""
        return False


class HostingNetworks:
    """Knows data centres by a database of autonomous systems of the operator's."""

    def __init__(self, reader: maxminddb.Reader) -> None:
        self._reader = reader
        self._cached = lru_cache(maxsize=32_768)(self._contain)
        self.cache_info = self._cached.cache_info

    @classmethod
    def open(cls, path: Path) -> "HostingNetworks":
        """Opens the database at `path`.

        Raises:
            DataFileError: If it cannot be read, or is no database of networks.
        """
        return cls(open_database(path, keys=_KEYS))

    def contain(self, ip: str) -> bool:
        """Tells whether a hosting company announces the address."""
        return self._cached(ip)

    def _contain(self, ip: str) -> bool:
        return _read_asn(find_record(self._reader, ip)) in hosting_asns()


@cache
def hosting_asns() -> Mapping[int, str]:
    """Returns the hosting companies by the numbers of their networks."""
    rows = read_packaged_csv("hosting_asns.csv")
    return {int(row["asn"]): row["company"] for row in rows}


def _read_asn(record: Mapping[str, Any]) -> int | None:
    """Reads the number, which some databases spell `AS64496`."""
    asn = record.get("autonomous_system_number", record.get("asn"))
    if isinstance(asn, str) and (digits := asn.removeprefix("AS")).isdecimal():
        return int(digits)
    return asn if isinstance(asn, int) else None
