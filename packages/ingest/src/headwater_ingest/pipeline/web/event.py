"""A web event on its way through the steps, for one site."""

from dataclasses import dataclass
from typing import Final

from headwater_ingest.enrich.attribution import Attribution
from headwater_ingest.enrich.currency import NO_REVENUE, Revenue
from headwater_ingest.enrich.geo import NOWHERE, Place
from headwater_ingest.enrich.user_agent import UNKNOWN_DEVICE, Device
from headwater_ingest.pipeline.web.request import WebRequest
from headwater_ingest.sites.model import Site
from headwater_ingest.visitors.sessions import Facts

FACT_COLUMNS: Final = (*Attribution._fields, *Place._fields, *Device._fields)
"""Columns that every event of a session takes from its first one."""

_UNKNOWN: Final = Attribution("", "", "", "", "", "", "", "", "")


@dataclass(slots=True)
class WebEvent:
    """An event and what the steps have found out about it.

    Attributes:
        request: What was sent.
        domain: The site as the request names it.
        site: The site, once it is found.
        place: Where the visitor is.
        device: What they use.
        attribution: Where they came from.
        revenue: What the event earned, if the site has a goal for it.
        user_id: The visitor under today's salt.
        previous_user_id: The same under yesterday's.
    """

    request: WebRequest
    domain: str
    site: Site | None = None
    place: Place = NOWHERE
    device: Device = UNKNOWN_DEVICE
    attribution: Attribution = _UNKNOWN
    revenue: Revenue = NO_REVENUE
    user_id: int = 0
    previous_user_id: int | None = None

    @property
    def facts(self) -> Facts:
        """What it says as the first event of a session, in order of `FACT_COLUMNS`."""
        return (*self.attribution, *self.place, *self.device)
