"""A web event on its way through the steps, for one site."""

from typing import Final

import msgspec

from headwater_ingest.enrich.attribution import Attribution, Attributor
from headwater_ingest.enrich.currency import NO_REVENUE, Revenue
from headwater_ingest.enrich.geo import NOWHERE, Locator, Place, locate_client
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

    Where its visitor is and came from is found when somebody asks. Most events continue
    a session, and take both from its first event.

    Attributes:
        request: What was sent.
        domain: The site as the request names it.
        site: The site, once it is found.
        locator: What knows where the visitor is.
        device: What they use.
        attributor: What knows where they came from.
        revenue: What the event earned, if the site has a goal for it.
        user_id: The visitor under today's salt.
        previous_user_id: The same under yesterday's.
        is_timed: Whether its steps are timed.
    """

    request: WebRequest
    domain: str
    site: Site = NO_SITE
    locator: Locator | None = None
    device: Device = UNKNOWN_DEVICE
    attributor: Attributor | None = None
    revenue: Revenue = NO_REVENUE
    user_id: int = 0
    previous_user_id: int | None = None
    is_timed: bool = False

    @property
    def place(self) -> Place:
        """Where the visitor is."""
        if self.locator is None:
            return NOWHERE
        return locate_client(self.request.client, self.locator)

    @property
    def attribution(self) -> Attribution:
        """Where they came from."""
        if self.attributor is None:
            return _UNKNOWN
        fields = self.request.fields
        return self.attributor.attribute(fields.url, fields.referrer)

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
