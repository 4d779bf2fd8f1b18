"""The tables that steps look things up in."""

from dataclasses import dataclass
from typing import Protocol

from headwater_ingest.enrich.attribution import Attributor
from headwater_ingest.enrich.client_hints import ClientHints
from headwater_ingest.enrich.currency import Rates
from headwater_ingest.enrich.data_centres import DataCentres
from headwater_ingest.enrich.geo import Locator
from headwater_ingest.enrich.spam import SpamList
from headwater_ingest.enrich.user_agent import Device


class Devices(Protocol):
    """What knows user agents."""

    def read(self, user_agent: str, hints: ClientHints) -> Device | None:
        """Returns what a user agent stands for; None for a bot."""


@dataclass(slots=True)
class Enrichment:
    """What the steps look things up in. Each part is replaced as a whole on a reload.

    Attributes:
        spam: Referrers that are spam.
        locator: Where addresses are.
        data_centres: Which of them belong to data centres.
        devices: What user agents are.
        attributor: Where visits come from.
        rates: Exchange rates.
    """

    spam: SpamList
    locator: Locator
    data_centres: DataCentres
    devices: Devices
    attributor: Attributor
    rates: Rates
