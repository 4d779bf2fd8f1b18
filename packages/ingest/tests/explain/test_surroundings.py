"""What `explain` knows of sites: the table in ClickHouse, or what was last known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.clickhouse.migrate import migrate
from headwater_ingest.clickhouse.sites import ClickHouseSites
from headwater_ingest.clickhouse.template import Topology
from headwater_ingest.errors import SitesFileError
from headwater_ingest.explain.surroundings import Surroundings, look_around
from headwater_ingest.settings import Settings
from headwater_ingest.sites.known_sites import KnownSites
from headwater_ingest.sites.record import SiteRecord

if TYPE_CHECKING:
    from pathlib import Path

NOWHERE = "clickhouse://default@127.0.0.1:1/none"
NOW_MS = round(datetime(2026, 11, 22, tzinfo=UTC).timestamp() * 1000)


def domains(around: Surroundings) -> set[str]:
    return {site.domain for site in around.sites.sites}


def test_the_last_known_sites_are_used_while_clickhouse_is_away(tmp_path: Path) -> None:
    known = SiteRecord(id=1, domain="a.example", monthly_quota=5)
    KnownSites((known,)).write(tmp_path)
    (tmp_path / "sites.toml").write_text(
        '[[site]]\ndomain = "b.example"\nwrite_key = "hw_0123456789abcdef"\n'
    )

    around = look_around(
        Settings(data_dir=tmp_path, clickhouse_url=NOWHERE), now_ms=NOW_MS
    )

    assert domains(around) == {"a.example", "b.example"}
    assert "as this node last knew them" in around.notes[0]
    assert "monthly quota" in around.notes[1]


def test_without_a_data_directory_no_site_is_known(tmp_path: Path) -> None:
    folder = tmp_path / "none"

    around = look_around(Settings(data_dir=folder), now_ms=NOW_MS)

    assert domains(around) == set()
    assert "the embedded ClickHouse does not run" in around.notes[0]
    assert not folder.exists()


def test_a_sites_file_that_is_wrong_is_told(tmp_path: Path) -> None:
    (tmp_path / "sites.toml").write_text("site = 1")

    with pytest.raises(SitesFileError):
        look_around(Settings(data_dir=tmp_path), now_ms=NOW_MS)


@pytest.mark.clickhouse
def test_the_table_counts_and_what_its_sites_have_used_up(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    KnownSites((SiteRecord(id=9, domain="old.example"),)).write(folder)
    with EmbeddedClickHouse(tmp_path / "clickhouse") as server:
        url = replace(server.url, database="explain")
        migrate(url, Topology(None))
        gone = SiteRecord(id=2, domain="gone.example", version=1, removed=True)
        here = SiteRecord(id=1, domain="a.example", version=1, monthly_quota=5)
        ClickHouseSites(url).write([here, gone])
        around = look_around(
            Settings(data_dir=folder, clickhouse_url=url.with_password()),
            now_ms=NOW_MS,
        )

    assert domains(around) == {"a.example"}
    assert around.gate.usage.watched == (1,)
    assert "as ClickHouse has them" in around.notes[0]
