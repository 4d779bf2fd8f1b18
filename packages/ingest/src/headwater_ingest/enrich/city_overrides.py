"""Districts that databases report as cities, and the cities that they are part of."""

from collections.abc import Mapping
from functools import cache

from headwater_ingest.enrich.packaged import read_packaged_csv


def find_city(geoname_id: int) -> int:
    """Returns the GeoNames id of the city that a place is, or is a district of."""
    return _overrides().get(geoname_id, geoname_id)


@cache
def _overrides() -> Mapping[int, int]:
    rows = read_packaged_csv("city_overrides.csv")
    return {int(row["district_id"]): int(row["city_id"]) for row in rows}
