"""The tables of enrichment: ours, or the operator's as long as they are in order."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from mmdb_writer import MMDBWriter
from msgspec.structs import replace
from netaddr import IPSet  # type: ignore[import-untyped]  # ships no types

from headwater_ingest.data_files import DataFiles
from headwater_ingest.enrich.client_hints import NO_HINTS
from headwater_ingest.settings import Settings
from headwater_ingest.telemetry.readings import CACHES

if TYPE_CHECKING:
    from pathlib import Path

SPAM = "https://my-own-spam.example/"


def write_database(path: Path, record: dict[str, object]) -> None:
    writer = MMDBWriter(4)
    writer.insert_network(IPSet(["192.0.2.0/24"]), record)
    writer.to_db_file(str(path))


@pytest.fixture
def named(tmp_path: Path) -> Settings:
    """Settings that name a file of each kind; all of them are there."""
    settings = Settings(
        geoip_city_file=tmp_path / "city.mmdb",
        geoip_asn_file=tmp_path / "asn.mmdb",
        spam_file=tmp_path / "spam.txt",
        traffic_sources_file=tmp_path / "sources.toml",
        rates_file=tmp_path / "rates.json",
    )
    city, asn, spam, sources, rates = settings.data_files
    write_database(city, {"country": {"iso_code": "DE"}})
    write_database(asn, {"autonomous_system_number": 16509})
    spam.write_text("my-own-spam.example\n")
    sources.write_text('[social]\n"Our Club" = { hosts = ["club.example"] }\n')
    rates.write_text('{"base": "USD", "rates": {"EUR": 0.5}}')
    return settings


def change(path: Path, text: str) -> None:
    """Changes a file, and its time by more than a clock may resolve."""
    path.write_text(text)
    os.utime(path, (1_700_000_000 + len(text), 1_700_000_000 + len(text)))


def settle(files: DataFiles) -> None:
    """Looks twice, as a change is taken up by the second look."""
    files.refresh()
    files.refresh()


def test_without_files_there_are_tables_of_ours() -> None:
    files = DataFiles(Settings())

    tables = files.enrichment
    assert files.problems == ()
    assert tables.locator.locate("81.2.69.142").country_code == "GB"
    assert not tables.data_centres.contain("192.0.2.1")
    assert not tables.spam.has(SPAM)
    assert tables.attributor.attribute("", "https://t.co/")[1] == "X (Twitter)"
    assert tables.rates["EUR"] == 1
    assert tables.devices.read("Googlebot/2.1", NO_HINTS) is None


def test_files_of_the_operator_are_read_at_the_start(named: Settings) -> None:
    files = DataFiles(named)

    tables = files.enrichment
    assert files.problems == ()
    assert tables.locator.locate("192.0.2.1").country_code == "DE"
    assert tables.data_centres.contain("192.0.2.1")
    assert tables.spam.has(SPAM)
    assert tables.attributor.attribute("", "https://club.example/")[1] == "Our Club"
    assert tables.rates == {"USD": Decimal(1), "EUR": Decimal("0.5")}


def test_a_file_that_is_broken_at_the_start_is_done_without(named: Settings) -> None:
    for path in named.data_files:
        path.write_bytes(b"\xff{")

    files = DataFiles(named)

    assert len(files.problems) == 5
    for path, problem in zip(named.data_files, sorted(files.problems), strict=True):
        assert any(each.startswith(f"{path}: ") for each in files.problems), problem
    assert files.enrichment.rates["EUR"] == 1
    assert not files.enrichment.data_centres.contain("192.0.2.1")


def test_a_missing_file_is_told(named: Settings, tmp_path: Path) -> None:
    missing = tmp_path / "missing.json"

    files = DataFiles(replace(named, rates_file=missing))

    assert files.problems == (f"{missing}: cannot be read: No such file or directory",)


def test_a_change_is_taken_up_when_it_has_come_to_rest(named: Settings) -> None:
    files = DataFiles(named)
    tables = files.enrichment
    assert named.rates_file
    assert named.spam_file
    change(named.rates_file, '{"base": "USD", "rates": {"EUR": 0.75}}')

    files.refresh()
    assert tables.rates["EUR"] == Decimal("0.5")
    files.refresh()

    assert tables.rates["EUR"] == Decimal("0.75")
    assert tables.spam.has(SPAM)
    assert files.enrichment is tables


def test_a_file_that_breaks_leaves_the_last_good_one(named: Settings) -> None:
    files = DataFiles(named)
    assert named.rates_file
    assert named.traffic_sources_file
    change(named.rates_file, "{")
    change(named.traffic_sources_file, "[social\n")

    settle(files)

    (first, second) = files.problems
    assert first.startswith(str(named.traffic_sources_file))
    assert second.startswith(str(named.rates_file))
    assert files.enrichment.rates["EUR"] == Decimal("0.5")
    source = files.enrichment.attributor.attribute("", "https://club.example/")[1]
    assert source == "Our Club"

    change(named.rates_file, '{"base": "USD", "rates": {"EUR": 0.9}}')
    settle(files)

    assert files.problems == (first,)
    assert files.enrichment.rates["EUR"] == Decimal("0.9")


def test_every_cache_tells_how_it_does(named: Settings) -> None:
    files = DataFiles(named)

    caches = files.caches()

    assert sorted(caches) == sorted(CACHES)
    before = caches["spam"]
    files.enrichment.spam.has(SPAM)
    files.enrichment.spam.has(SPAM)
    after = files.caches()["spam"]
    assert (after.hits - before.hits, after.misses - before.misses) == (1, 1)


def test_caches_that_there_are_not_are_left_out() -> None:
    assert DataFiles(Settings()).caches().keys() == {*CACHES} - {
        "data_centre",
        "place",
    }
