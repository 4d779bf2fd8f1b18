"""What decides about events, as those need it who take them."""

from dataclasses import dataclass

from headwater_ingest.sites.gatekeeper import Gatekeeper
from headwater_ingest.sites.registry import SiteRegistry
from headwater_ingest.visitors.salts import Salts


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """Sites, limits and salts, as those need them who take events.

    Attributes:
        sites: The sites in force.
        gate: Decides how many events each may have.
        salts: Under which visitors are told apart.
    """

    sites: SiteRegistry
    gate: Gatekeeper
    salts: Salts
