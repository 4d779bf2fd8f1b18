"""The tables that enrichment looks things up in: the operator's files, or ours.

A file of the operator's is read again when it changes. One that is missing or broken is
told by `problems`, and the last good one, or what comes packaged, stays in force.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from headwater_ingest.enrich.attribution import Attributor
from headwater_ingest.enrich.data_centres import (
    DataCentres,
    HostingNetworks,
    NoDataCentres,
)
from headwater_ingest.enrich.geo import GeoDatabase, RegistryCountries
from headwater_ingest.enrich.networks import address_cache_info
from headwater_ingest.enrich.rates import load_rates, packaged_rates
from headwater_ingest.enrich.root_domain import root_domain, root_domain_cache_info
from headwater_ingest.enrich.sources_file import load_sources, packaged_sources
from headwater_ingest.enrich.spam import load_spam, packaged_spam
from headwater_ingest.enrich.user_agent import DeviceReader
from headwater_ingest.enrich.watched_file import WatchedFile
from headwater_ingest.pipeline.enrichment import Enrichment
from headwater_ingest.settings import Settings

_T = TypeVar("_T")

_REGISTRIES: Final[GeoDatabase | RegistryCountries] = RegistryCountries()
_NO_DATA_CENTRES: Final[DataCentres] = NoDataCentres()


class CacheInfo(Protocol):
    """How a cache has done."""

    @property
    def hits(self) -> int:
        """Look-ups that it answered."""

    @property
    def misses(self) -> int:
        """Look-ups that it did not."""


class _File(Protocol):
    """A file, whatever is in it."""

    @property
    def problem(self) -> str | None:
        """What is wrong with it."""

    def refresh(self) -> bool:
        """Reads it if it has changed, and tells whether there is a new value."""


class _Packaged(Generic[_T]):
    """What takes the place of a file that the operator does not name."""

    problem: None = None

    def __init__(self, value: _T) -> None:
        self.value = value

    def refresh(self) -> bool:
        """Tells that there is nothing new."""
        return False


class DataFiles:
    """The files, and what was last read from them.

    Attributes:
        enrichment: The tables in force. Its parts are replaced by `refresh`.
    """

    def __init__(self, settings: Settings) -> None:
        """Reads every file once. Blocks; some of them are large."""
        self._spam = _watch(settings.spam_file, load_spam, default=packaged_spam())
        self._locator = _watch(
            settings.geoip_city_file, GeoDatabase.open, default=_REGISTRIES
        )
        self._data_centres = _watch(
            settings.geoip_asn_file, HostingNetworks.open, default=_NO_DATA_CENTRES
        )
        self._attributor = _watch(
            settings.traffic_sources_file,
            lambda path: Attributor(load_sources(path)),
            default=Attributor(packaged_sources()),
        )
        self._rates = _watch(settings.rates_file, load_rates, default=packaged_rates())
        self._devices = DeviceReader()
        self.enrichment = Enrichment(
            spam=self._spam.value,
            locator=self._locator.value,
            data_centres=self._data_centres.value,
            devices=self._devices,
            attributor=self._attributor.value,
            rates=self._rates.value,
        )
        # The first of these loads a list for 65 ms, which no request should wait for.
        root_domain("www.example.com")

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the files, one line each."""
        return tuple(each.problem for each in self._all if each.problem)

    def caches(self) -> dict[str, CacheInfo]:
        """Returns how often each cache knew its answer, by name."""
        tables = self.enrichment
        caches: dict[str, CacheInfo] = {
            "address": address_cache_info(),
            "attribution": tables.attributor.cache_info(),
            "device": self._devices.cache_info(),
            "root_domain": root_domain_cache_info(),
            "spam": tables.spam.cache_info(),
        }
        if isinstance(tables.data_centres, HostingNetworks):
            caches["data_centre"] = tables.data_centres.cache_info()
        if isinstance(self._locator.value, GeoDatabase):
            caches["place"] = self._locator.value.cache_info()
        return caches

    def refresh(self) -> None:
        """Puts in force what has changed. Blocks; called by one thread at a time."""
        changed = [each.refresh() for each in self._all]
        if any(changed):
            self.enrichment.spam = self._spam.value
            self.enrichment.locator = self._locator.value
            self.enrichment.data_centres = self._data_centres.value
            self.enrichment.attributor = self._attributor.value
            self.enrichment.rates = self._rates.value

    @property
    def _all(self) -> tuple[_File, ...]:
        return (
            self._spam,
            self._locator,
            self._data_centres,
            self._attributor,
            self._rates,
        )


def _watch(
    path: Path | None, load: Callable[[Path], _T], *, default: _T
) -> WatchedFile[_T] | _Packaged[_T]:
    if path is None:
        return _Packaged(default)
    file = WatchedFile(path, load, default=default)
    file.refresh()
    return file
