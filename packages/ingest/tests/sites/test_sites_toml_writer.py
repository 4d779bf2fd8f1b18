from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.sites.countries import COUNTRIES
from headwater_ingest.sites.fields import read_fields
from headwater_ingest.sites.model import derive_site_id
from headwater_ingest.sites.record import SiteRecord, WriteKey
from headwater_ingest.sites.sites_toml import parse_sites
from headwater_ingest.sites.sites_toml_writer import describe_site, write_sites

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40).filter(str.strip)
KEYS = st.builds(
    WriteKey,
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.none() | st.integers(0, 4_000_000_000_000),
)


def unique(
    values: st.SearchStrategy[str], most: int
) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(values, unique=True, max_size=most).map(tuple)


RECORDS = st.builds(
    SiteRecord,
    id=st.integers(1, 2**64 - 1),
    domain=st.just("a.example"),
    former_domain=st.sampled_from(["", "old.example"]),
    write_keys=st.lists(KEYS, max_size=3, unique_by=lambda key: key.digest).map(tuple),
    consolidated=st.booleans(),
    rate_limit=st.none() | st.integers(0, 2**32 - 1),
    rate_window_seconds=st.integers(1, 86_400),
    accept_traffic_until=st.none() | st.dates(date(1970, 1, 1), date(2149, 6, 6)),
    monthly_quota=st.none() | st.integers(0, 2**63 - 1),
    blocked_addresses=unique(st.ip_addresses(v=4).map(str), 5),
    blocked_countries=unique(st.sampled_from(sorted(COUNTRIES)), 5),
    blocked_pages=unique(NAMES.map("/{}".format), 5),
    allowed_hostnames=st.just(("*.example.com",)),
    revenue_goals=st.dictionaries(NAMES, st.sampled_from(["EUR", "USD"]), max_size=3),
    allowed_props=unique(NAMES, 3),
    time_zone=st.sampled_from(["UTC", "Europe/Berlin"]),
    retention_days=st.none() | st.integers(1, 36_500),
)


@given(RECORDS)
def test_what_is_written_is_read_again(record: SiteRecord) -> None:
    assert parse_sites(write_sites([record]), name="it") == [record]


@given(RECORDS)
def test_what_is_described_in_json_is_read_again(record: SiteRecord) -> None:
    described = msgspec.json.decode(msgspec.json.encode(describe_site(record)))
    del described["kept_in"]

    found = read_fields(described)

    assert found.problems == []
    assert SiteRecord(**found.values) == record


def test_only_what_differs_from_a_new_site_is_written() -> None:
    record = SiteRecord(id=derive_site_id("a.example"), domain="a.example")

    assert write_sites([record]).partition("\n\n")[2] == (
        '[[site]]\ndomain = "a.example"\nkey_digests = []\n'
    )


@pytest.mark.parametrize("number,is_written", [(7, True), (derive_site_id("b"), False)])
def test_a_number_is_written_if_nobody_could_guess_it(
    number: int, *, is_written: bool
) -> None:
    record = SiteRecord(id=number, domain="a.example", former_domain="b")

    assert ("id = " in write_sites([record])) == is_written


def test_all_sites_are_written() -> None:
    records = [SiteRecord(id=number, domain=f"{number}.example") for number in (1, 2)]

    assert parse_sites(write_sites(records), name="it") == records
