import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.enrich.address import Client
from headwater_ingest.enrich.geo import (
    ANONYMOUS,
    NOWHERE,
    GeoDatabase,
    Locator,
    Place,
    RegistryCountries,
    locate_client,
)
from headwater_ingest.enrich.watched_file import WatchedFile
from headwater_ingest.errors import DataFileError

WriteDatabase = Callable[..., Path]
ANYTHING = st.text(st.characters(codec=None))

US = {
    "country": {"iso_code": "US", "geoname_id": 6252001},
    "subdivisions": [{"iso_code": "WA"}],
    "city": {"geoname_id": 5803556},
}


def locate(write_database: WriteDatabase, record: object) -> Place:
    path = write_database({"192.0.2.0/24": record, "198.51.100.0/24": US})
    return GeoDatabase.open(path).locate("192.0.2.1")


@pytest.mark.parametrize(
    "record, place",
    [
        (US, Place("US", "US-WA", "", 5803556)),
        (
            {
                "country": {"iso_code": "GB"},
                "subdivisions": [{"iso_code": "ENG"}, {"iso_code": "WBK"}],
                "city": {"geoname_id": 2655045},
            },
            Place("GB", "GB-ENG", "GB-WBK", 2655045),
        ),
        (
            {"country": {"iso_code": "CN"}, "subdivisions": [{"iso_code": "22"}]},
            Place("CN", "CN-22", "", 0),
        ),
        (
            {"country": {"iso_code": "GB"}, "city": {"geoname_id": 2643741}},
            Place("GB", "", "", 2643743),
        ),
        (
            {"country_code": "FR", "city": "Lille"},
            Place("FR", "", "", 0),
        ),
        ({"country": "DE"}, Place("DE", "", "", 0)),
        ({"country": "Germany", "country_code": "DE"}, Place("DE", "", "", 0)),
    ],
)
def test_record_of_either_schema_tells_the_place(
    write_database: WriteDatabase, record: object, place: Place
) -> None:
    assert locate(write_database, record) == place


@pytest.mark.parametrize("code", ["ZZ", "XX", "T1", "us", "USA", "", 1, None, "\xe9A"])
def test_code_that_is_no_country_means_nowhere(
    write_database: WriteDatabase, code: Any
) -> None:
    country = {} if code is None else {"iso_code": code}
    record = {**US, "country": country}
    assert locate(write_database, record) == NOWHERE


@pytest.mark.parametrize(
    "junk",
    [
        {"subdivisions": "WA", "city": "Seattle"},
        {"subdivisions": ["WA"], "city": {}},
        {"subdivisions": [{}, {"iso_code": 1}], "city": {"geoname_id": "x"}},
        {"subdivisions": [{"iso_code": "a b"}], "city": {"geoname_id": 2**40}},
    ],
)
def test_fields_of_another_form_are_unknown(
    write_database: WriteDatabase, junk: Mapping[str, Any]
) -> None:
    record = {"country": {"iso_code": "US"}, **junk}
    assert locate(write_database, record) == Place("US", "", "", 0)


@pytest.mark.parametrize("ip", ["203.0.113.7", "not-an-ip", "", "1", "2001:db8::1"])
def test_address_that_is_not_in_the_database_is_nowhere(
    write_database: WriteDatabase, ip: str
) -> None:
    assert GeoDatabase.open(write_database({"192.0.2.0/24": US})).locate(ip) == NOWHERE


@pytest.mark.parametrize("ip", ["192.0.2.1", "::ffff:192.0.2.1"])
def test_mapped_address_is_where_its_ipv4_address_is(
    write_database: WriteDatabase, ip: str
) -> None:
    database = GeoDatabase.open(write_database({"192.0.2.0/24": US}))
    assert database.locate(ip).country_code == "US"


def test_ipv6_is_found(write_database: WriteDatabase) -> None:
    database = GeoDatabase.open(write_database({"2001:218::/32": US}))
    assert database.locate("2001:218:1:1:1:1:1:1").country_code == "US"


def test_ipv6_is_nowhere_in_a_database_of_ipv4(write_database: WriteDatabase) -> None:
    path = write_database({"192.0.2.0/24": US}, ip_version=4)
    database = GeoDatabase.open(path)
    assert database.locate("2001:db8::1") == NOWHERE
    assert database.locate("192.0.2.1").country_code == "US"


def test_address_of_an_anonymous_vpn_is_not_looked_up(
    write_database: WriteDatabase,
) -> None:
    database = GeoDatabase.open(write_database({"192.0.2.0/24": US}))
    vpn = Client("192.0.2.1", "anonymous_vpn_ip")
    assert locate_client(vpn, database) == ANONYMOUS == Place("A1", "", "", 0)
    assert database.cache_info().currsize == 0
    other = Client("192.0.2.1", "residential")
    assert locate_client(other, database).country_code == "US"


@pytest.mark.parametrize(
    "ip, country",
    [
        ("8.8.8.8", "US"),
        ("::ffff:8.8.8.8", "US"),
        ("2001:4860:4860::8888", "US"),
        ("10.0.0.1", ""),
        ("203.0.113.7", ""),
        ("not-an-ip", ""),
        ("\ud800", ""),
        ("", ""),
    ],
)
def test_registries_tell_the_country(ip: str, country: str) -> None:
    assert RegistryCountries().locate(ip) == Place(country, "", "", 0)


@pytest.mark.parametrize(
    "content", [b"", b"garbage" * 1000, b"\xab\xcd\xefMaxMind.com"]
)
def test_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "database.mmdb"
    path.write_bytes(content)
    with pytest.raises(DataFileError, match="is no MaxMind database"):
        GeoDatabase.open(path)


def test_missing_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="cannot be read: No such file"):
        GeoDatabase.open(tmp_path / "database.mmdb")


@pytest.mark.parametrize(
    "records", [{"192.0.2.0/24": {"autonomous_system_number": 1}}, {}]
)
def test_database_of_another_kind_is_refused(
    write_database: WriteDatabase, records: Mapping[str, Any]
) -> None:
    with pytest.raises(DataFileError, match="another kind of database"):
        GeoDatabase.open(write_database(records))


def test_database_that_is_cut_short_in_place_stays_in_force(
    write_database: WriteDatabase,
) -> None:
    path = write_database({"192.0.2.0/24": US, "198.51.100.0/24": US})
    watched: WatchedFile[Locator] = WatchedFile(
        path, GeoDatabase.open, default=RegistryCountries()
    )
    watched.refresh()
    path.write_bytes(b"garbage")
    watched.refresh()
    watched.refresh()
    assert watched.problem is not None
    assert watched.value.locate("198.51.100.1").country_code == "US"


def test_new_database_replaces_the_old_one(write_database: WriteDatabase) -> None:
    path = write_database({"192.0.2.0/24": US})
    watched: WatchedFile[Locator] = WatchedFile(
        path, GeoDatabase.open, default=RegistryCountries()
    )
    watched.refresh()
    assert watched.value.locate("192.0.2.1").country_code == "US"
    write_database({"192.0.2.0/24": {"country": {"iso_code": "SE"}}})
    watched.refresh()
    watched.refresh()
    assert watched.value.locate("192.0.2.1").country_code == "SE"


def test_damaged_database_never_makes_a_look_up_fail(
    write_database: WriteDatabase,
) -> None:
    path = write_database({f"192.0.{third}.0/24": US for third in range(50)})
    sound = path.read_bytes()
    for seed in range(40):
        chance = random.Random(seed)
        damaged = bytearray(sound)
        for _ in range(20):
            damaged[chance.randrange(len(sound) // 2)] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            database = GeoDatabase.open(path)
        except DataFileError:
            continue
        for third in range(50):
            assert len(database.locate(f"192.0.{third}.1").country_code) <= 2


@given(ANYTHING)
def test_no_text_makes_locating_fail(ip: str) -> None:
    assert RegistryCountries().locate(ip) is not None
