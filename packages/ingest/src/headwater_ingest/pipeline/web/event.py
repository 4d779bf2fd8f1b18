"""A web event on its way through the steps, for one site."""

from typing import Final

import msgspec

from headwater_ingest.enrich.attribution import Attribution
from headwater_ingest.enrich.currency import NO_REVENUE, Revenue
from headwater_ingest.enrich.geo import NOWHERE, Place
from headwater_ingest.enrich.user_agent import UNKNOWN_DEVICE, Device
from headwater_ingest.pipeline.web.request import WebRequest
from headwater_ingest.sites.model import Site
from headwater_ingest.visitors.sessions import Facts

FACT_COLUMNS: Final = (*Attribution._fields, *Place._fields, *Device._fields)
"""Columns that every event of a session takes from its first one."""

NO_SITE: Final = Site(0, "", frozenset())
"""Stands for the site of an event whose domain is none."""

_UNKNOWN: Final = Attribution("", "", "", "", "", "", "", "", "")


class WebEvent(msgspec.Struct):
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
    site: Site = NO_SITE
    place: Place = NOWHERE
    device: Device = UNKNOWN_DEVICE
    attribution: Attribution = _UNKNOWN
    revenue: Revenue = NO_REVENUE
    user_id: int = 0
    previous_user_id: int | None = None

    def make_facts(self) -> Facts:
        """Returns what it says as the first event of a session."""
        values: tuple[str | int, ...] = (
            *self.attribution,
            *self.place,
            *self.device,
        )
        return {
            name: value
            for name, value in zip(FACT_COLUMNS, values, strict=True)
            if value
        }
