import asyncio
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.redis_server import run_redis

from headwater_ingest import doctor
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.clickhouse.migrate import migrate
from headwater_ingest.doctor import examine, render
from headwater_ingest.findings import Finding, Level
from headwater_ingest.journal import Count, Entry, Journal
from headwater_ingest.service_file import ServiceFile
from headwater_ingest.settings import Settings
from headwater_ingest.settings_reader import LoadedSettings
from headwater_ingest.sites.known_sites import KnownSites
from headwater_ingest.sites.record import SiteRecord
from headwater_ingest.sites.sites_toml import read_sites

NOWHERE = "clickhouse://127.0.0.1:1/headwater"  # a port that nobody listens on
SITES = '[[site]]\ndomain = "a.example"\nwrite_key = "hw_0123456789abcdef"\n'


def findings(settings: Settings) -> dict[str, Finding]:
    return {each.subject: each for each in examine(LoadedSettings(settings, {}))}


def examine_files(settings: Settings) -> list[Finding]:
    found = examine(LoadedSettings(settings, {}))
    return [each for each in found if each.subject == "data files"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, clickhouse_url=NOWHERE)


def append(
    directory: Path, *, at_ms: int, number: int = 0, counts: tuple[Count, ...] = ()
) -> None:
    entry = Entry(
        site_id=1,
        batch_id=number.to_bytes(16),
        event_ids=number.to_bytes(16),
        rows=b"rows",
        row_count=1,
        answer=b"{}",
        ids_digest=b"",
        counts=counts,
    )

    async def run() -> None:
        journal = Journal.open(directory, max_bytes=10**6, clock=lambda: at_ms)
        await journal.append(entry)
        await asyncio.to_thread(journal.close)

    asyncio.run(run())


class FakeService(http.server.BaseHTTPRequestHandler):
    """Answers `/readyz` as the test says."""

    body = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def service() -> Iterator[ServiceFile]:
    server = http.server.HTTPServer(("127.0.0.1", 0), FakeService)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield ServiceFile("127.0.0.1", server.server_port, os.getpid())
    server.shutdown()
    thread.join()
    server.server_close()


def test_before_the_first_start_nothing_is_wrong(tmp_path: Path) -> None:
    found = findings(Settings(data_dir=tmp_path / "data"))

    assert {each.level for each in found.values()} == {Level.OK, Level.WARN}
    assert "`serve` makes it" in found["data directory"].detail
    assert "`serve` makes it" in found["journal"].detail
    assert "`serve` writes a first one" in found["sites"].detail
    assert not (tmp_path / "data").exists()


def test_a_directory_that_cannot_be_written_fails(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere

    assert findings(settings)["data directory"].level is Level.FAIL


def test_a_full_disk_fails_and_says_what_to_do(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(settings.data_dir)._replace(free=4096)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    found = findings(settings)["data directory"]

    assert found.level is Level.FAIL
    assert "is full, 4096 bytes are left: free space on it" in found.detail


def test_the_files_of_the_operator_are_read(settings: Settings, tmp_path: Path) -> None:
    rates, spam = tmp_path / "rates.json", tmp_path / "spam.txt"
    rates.write_text('{"rates": {"EUR": 0.9}}')
    spam.write_text("spam.example\n")

    good = examine_files(replace(settings, rates_file=rates, spam_file=spam))
    rates.write_text("{")
    missing = tmp_path / "missing.mmdb"
    bad = examine_files(
        replace(settings, rates_file=rates, spam_file=spam, geoip_asn_file=missing)
    )

    assert [(each.level, each.detail[:10]) for each in good] == [
        (Level.OK, "2 of yours")
    ]
    assert [each.level for each in bad] == [Level.OK, Level.WARN, Level.WARN]
    assert bad[0].detail.startswith("1 of yours")
    assert f"{missing}: cannot be read" in bad[1].detail
    assert f"{rates}: is no JSON" in bad[2].detail


def test_an_unreachable_clickhouse_fails(settings: Settings) -> None:
    found = findings(settings)["clickhouse"]

    assert found.level is Level.FAIL
    assert "cannot reach ClickHouse at 127.0.0.1:1" in found.detail


def test_redis_is_asked_if_one_is_named(settings: Settings) -> None:
    assert "redis" not in findings(settings)

    nowhere = "redis://:unmistakable@127.0.0.1:1"
    away = findings(replace(settings, redis_url=nowhere))["redis"]
    assert away.level == Level.FAIL
    assert "start it" in away.detail
    assert "unmistakable" not in away.detail

    with run_redis() as server:
        there = findings(replace(settings, redis_url=server.url))["redis"]
    assert there == Finding(Level.OK, "redis", f"answers at {server.url}")


def test_a_backlog_warns_when_it_is_old(settings: Settings) -> None:
    append(settings.data_dir, at_ms=1_000)

    found = findings(settings)

    assert found["journal"].level is Level.WARN
    assert found["journal"].detail.startswith("1 rows wait for ClickHouse")
    assert "1 event ids" in found["window"].detail


def test_accounts_that_close_are_well_and_others_fail(settings: Settings) -> None:
    append(settings.data_dir, at_ms=1_000, counts=(Count(1, "accepted", "", 1),))

    assert findings(settings)["accounts"].level is Level.OK

    append(settings.data_dir, at_ms=2_000, number=2)

    assert findings(settings)["accounts"].level is Level.FAIL
    assert "site 1 by -1" in findings(settings)["accounts"].detail


def test_a_damaged_journal_fails(settings: Settings) -> None:
    (settings.data_dir / "journal.db").write_bytes(b"no database" * 100)

    assert findings(settings)["journal"].level is Level.FAIL


def test_sites_are_named_and_their_mistakes_fail(settings: Settings) -> None:
    settings.sites_path.write_text(SITES)
    assert findings(settings)["sites"] == Finding(
        Level.OK, "sites", f"a.example in {settings.sites_path}"
    )

    settings.sites_path.write_text(SITES * 2)
    assert findings(settings)["sites"].level is Level.FAIL


def test_sites_that_are_in_the_table_only_are_named(settings: Settings) -> None:
    records = [SiteRecord(id=n, domain=f"{n}.example") for n in range(1, 8)]
    KnownSites(tuple(records)).write(settings.data_dir)

    assert findings(settings)["sites"] == Finding(
        Level.OK,
        "sites",
        "1.example, 2.example, 3.example, 4.example, 5.example and 2 more in the table "
        "of sites",
    )


def test_sites_of_the_table_are_named_beside_those_of_the_file(
    settings: Settings,
) -> None:
    settings.sites_path.write_text(SITES)
    (of_file,) = read_sites(settings.sites_path)
    other = SiteRecord(id=9, domain="b.example")
    KnownSites((of_file, other)).write(settings.data_dir)

    told = [
        finding.detail
        for finding in examine(LoadedSettings(settings, {}))
        if finding.subject == "sites"
    ]

    assert told == [
        f"a.example in {settings.sites_path}",
        "b.example in the table of sites besides",
    ]


def test_a_sites_file_that_is_gone_is_missed(settings: Settings) -> None:
    append(settings.data_dir, at_ms=1_000)
    kept_in = str(settings.sites_path.resolve())
    KnownSites((SiteRecord(id=1, domain="a.example", kept_in=kept_in),)).write(
        settings.data_dir
    )

    found = findings(settings)["sites"]

    assert found.level is Level.WARN
    assert f"{settings.sites_path} is gone; a.example" in found.detail
    assert "sites export" in found.detail


@pytest.mark.parametrize(
    "body,level,detail",
    [
        (b'{"status":"ready","blocked":[],"degraded":[]}', Level.OK, "is ready"),
        (
            b'{"status":"degraded","blocked":[],"degraded":["backlog_old"]}',
            Level.WARN,
            "is degraded: backlog_old",
        ),
        (
            b'{"status":"not_ready","blocked":["journal_full"],"degraded":[]}',
            Level.FAIL,
            "is not_ready: journal_full",
        ),
        (b"hello", Level.FAIL, "does not answer"),
    ],
)
def test_a_running_service_is_asked(
    body: bytes,
    level: Level,
    detail: str,
    *,
    settings: Settings,
    service: ServiceFile,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FakeService, "body", body)
    service.write(settings.data_dir)

    found = findings(settings)["service"]

    assert found.level is level
    assert detail in found.detail


def test_a_service_that_is_gone_is_told(settings: Settings) -> None:
    assert "does not run" in findings(settings)["service"].detail

    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    ServiceFile("127.0.0.1", 1, child.pid).write(settings.data_dir)
    assert "has ended without a stop" in findings(settings)["service"].detail


@pytest.mark.clickhouse
def test_the_tables_of_a_running_clickhouse_are_checked(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with EmbeddedClickHouse(settings.clickhouse_dir) as server:
        before = findings(settings)
        migrate(server.url)
        after = findings(settings)
        told = (
            f"{server.url.address}, for HTTP at "
            f"http://127.0.0.1:{server.http_port}/?database={server.url.database}"
        )

    assert before["clickhouse"].level is Level.FAIL
    assert "run `headwater-ingest migrate`" in before["clickhouse"].detail
    assert after["clickhouse"].detail.endswith(f"answers at {told}")
    assert after["schema"].level is Level.OK
    assert after["deduplication"].level is Level.OK


@pytest.mark.clickhouse
def test_a_query_that_clickhouse_refuses_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_TABLES_WITHOUT_WINDOW", "SELECT nothing")
    settings = Settings(data_dir=tmp_path)
    with EmbeddedClickHouse(settings.clickhouse_dir) as server:
        migrate(server.url)
        found = examine(LoadedSettings(settings, {}))

    failed = [each for each in found if each.level is Level.FAIL]
    assert [each.subject for each in failed] == ["clickhouse"]
    assert "refuses (code 47)" in failed[0].detail


def test_the_table_is_aligned() -> None:
    table = render(
        [Finding(Level.OK, "a", "first"), Finding(Level.FAIL, "longer", "second")]
    )

    assert table == "ok    a       first\nfail  longer  second\n"
