from collections.abc import Callable
from pathlib import Path

import pytest

from headwater_ingest.enrich.data_centres import (
    HostingNetworks,
    NoDataCentres,
    hosting_asns,
)
from headwater_ingest.errors import DataFileError

WriteDatabase = Callable[..., Path]


def contains(write_database: WriteDatabase, record: object) -> bool:
    path = write_database(
        {"192.0.2.0/24": record, "198.51.100.0/24": {"autonomous_system_number": 1}}
    )
    return HostingNetworks.open(path).contain("192.0.2.1")


@pytest.mark.parametrize(
    "record",
    [
        {
            "autonomous_system_number": 24940,
            "autonomous_system_organization": "Hetzner",
        },
        {"asn": 24940},
        {"asn": "AS24940", "as_name": "Hetzner"},
        {"asn": "24940"},
    ],
)
def test_address_of_a_hosting_company_is_in_a_data_centre(
    write_database: WriteDatabase, record: object
) -> None:
    assert contains(write_database, record)


@pytest.mark.parametrize(
    "record",
    [
        {"autonomous_system_number": 3320},
        {"autonomous_system_number": "x"},
        {"asn": "AS"},
        {"other": 1},
    ],
)
def test_address_of_others_is_in_none(
    write_database: WriteDatabase, record: object
) -> None:
    assert not contains(write_database, record)


@pytest.mark.parametrize("ip", ["203.0.113.7", "not-an-ip", ""])
def test_unknown_address_is_in_none(write_database: WriteDatabase, ip: str) -> None:
    path = write_database({"192.0.2.0/24": {"autonomous_system_number": 24940}})
    assert not HostingNetworks.open(path).contain(ip)


def test_without_a_database_there_are_no_data_centres() -> None:
    assert not NoDataCentres().contain("192.0.2.1")


def test_database_of_places_is_refused(write_database: WriteDatabase) -> None:
    path = write_database({"192.0.2.0/24": {"country": {"iso_code": "US"}}})
    with pytest.raises(DataFileError, match="another kind of database"):
        HostingNetworks.open(path)


def test_table_has_the_large_hosting_companies() -> None:
    assert {16509, 14618, 396982, 8075, 14061, 24940, 16276} <= hosting_asns().keys()
    assert len(hosting_asns()) > 60


@pytest.mark.parametrize("asn", [13335, 20940, 36183, 54113, 15169, 714])
def test_table_leaves_out_networks_that_people_come_from(asn: int) -> None:
    assert asn not in hosting_asns()
