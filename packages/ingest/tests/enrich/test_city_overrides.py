import pytest

from headwater_ingest.enrich.city_overrides import find_city
from headwater_ingest.enrich.packaged import read_packaged_csv


@pytest.mark.parametrize(
    "district, city",
    [
        (2643741, 2643743),
        (8436019, 6167865),
        (2779467, 2761369),
        (3336297, 2950159),
        (11050530, 588409),
        (2676209, 2673730),
        (11055041, 683506),
        (6619347, 1275339),
    ],
)
def test_district_is_part_of_its_city(district: int, city: int) -> None:
    assert find_city(district) == city


@pytest.mark.parametrize("city", [2643743, 5803556, 0])
def test_city_is_itself(city: int) -> None:
    assert find_city(city) == city


def test_table_has_each_district_once_and_no_city_among_them() -> None:
    rows = list(read_packaged_csv("city_overrides.csv"))
    districts = [row["district_id"] for row in rows]
    assert len(set(districts)) == len(districts) > 83
    assert not {row["city_id"] for row in rows} & set(districts)
    assert len({(row["city_id"], row["city"]) for row in rows}) == len(
        {row["city"] for row in rows}
    )
