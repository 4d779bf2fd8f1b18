"""The sites that may send events, and who is who by write key."""

from headwater_ingest.sites.model import Site
from headwater_ingest.sites.registry import SiteRegistry

__all__ = ["Site", "SiteRegistry"]
