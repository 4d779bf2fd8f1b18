"""The commands on sites, on a ClickHouse that runs."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from headwater_ingest.cli import cli as commands
from headwater_ingest.clickhouse.client import ClickHouseUrl
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.clickhouse.sites import ClickHouseSites
from headwater_ingest.errors import (
    InvalidSiteError,
    SiteKeptInFileError,
    SitesFileError,
    UnknownSiteError,
)
from headwater_ingest.sites.record import SiteRecord, WriteKey

pytestmark = pytest.mark.clickhouse

KEY = "hw_0123456789abcdef"
_numbers = count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    with EmbeddedClickHouse(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server


@pytest.fixture
def url(server: EmbeddedClickHouse) -> ClickHouseUrl:
    return replace(server.url, database=f"cli_{next(_numbers)}")


class Sites:
    """`headwater-ingest sites`, on a database of the test's own."""

    def __init__(self, url: ClickHouseUrl) -> None:
        self.table = ClickHouseSites(url)
        self._environ = {"HEADWATER_CLICKHOUSE_URL": url.with_password()}

    def run(self, *arguments: str) -> str:
        """Run a command that must work, and return what it printed."""
        result = CliRunner().invoke(
            commands,
            ["sites", *arguments],
            env=self._environ,
            catch_exceptions=False,
            standalone_mode=False,
        )
        assert result.exit_code == 0, result.output
        return result.stdout

    def read(self) -> dict[str, SiteRecord]:
        return {each.domain: each for each in self.table.read() if not each.removed}


@pytest.fixture
def sites(url: ClickHouseUrl) -> Sites:
    return Sites(url)


def key_in(output: str) -> WriteKey:
    (key,) = re.findall(r"^write key: (hw_\S+)$", output, re.MULTILINE)
    return WriteKey.of(key)


def test_before_the_first_site_there_is_an_empty_list(sites: Sites) -> None:
    assert sites.run("list") == "DOMAIN  ID  KEYS  LIMITS  KEPT IN\n"


def test_a_site_is_added_with_fields_and_a_key(sites: Sites) -> None:
    output = sites.run(
        "add", "Shop.example", "rate_limit=600", "blocked_pages=/admin/*,/test"
    )

    assert output.startswith("added shop.example\n")
    record = sites.read()["shop.example"]
    assert record.write_keys == (key_in(output),)
    assert (record.rate_limit, record.blocked_pages) == (600, ("/admin/*", "/test"))


def test_a_site_that_brings_its_key_gets_no_other(sites: Sites) -> None:
    output = sites.run("add", "a.example", f"write_key={KEY}")

    assert output == "added a.example\n"
    assert sites.read()["a.example"].write_keys == (WriteKey.of(KEY),)


def test_a_site_is_changed(sites: Sites) -> None:
    sites.run("add", "a.example", "blocked_pages=/a", "monthly_quota=5")

    output = sites.run("edit", "a.example", "blocked_pages+=/b", "monthly_quota=")

    record = sites.read()["a.example"]
    assert output == "changed a.example\n"
    assert (record.blocked_pages, record.monthly_quota) == (("/a", "/b"), None)


def test_a_site_is_renamed_and_keeps_its_number(sites: Sites) -> None:
    sites.run("add", "a.example")
    before = sites.read()["a.example"]

    sites.run("edit", "a.example", "domain=b.example")

    after = sites.read()["b.example"]
    assert (after.id, after.former_domain) == (before.id, "a.example")


def test_a_site_is_removed(sites: Sites) -> None:
    sites.run("add", "a.example")

    assert sites.run("remove", "a.example") == "removed a.example\n"
    assert sites.read() == {}


def test_a_key_is_replaced(sites: Sites) -> None:
    old = key_in(sites.run("add", "a.example"))

    output = sites.run("rotate-key", "a.example", "--overlap-hours", "1.5")

    new, ending = sites.read()["a.example"].write_keys
    assert new == key_in(output)
    assert ending.digest == old.digest
    assert "the old ones stay valid for 1.5 hours" in output


def test_a_key_is_replaced_at_once(sites: Sites) -> None:
    sites.run("add", "a.example")

    output = sites.run("rotate-key", "a.example", "--overlap-hours", "0")

    assert sites.read()["a.example"].write_keys == (key_in(output),)
    assert "valid" not in output


def test_an_export_can_be_applied(sites: Sites, tmp_path: Path) -> None:
    sites.run("add", "a.example", "rate_limit=5", "revenue_goals=Buy now:EUR")
    sites.run("add", "b.example", "consolidated=true")
    file = tmp_path / "sites.toml"
    file.write_text(sites.run("export"))
    before = sites.read()

    told = sites.run("apply", str(file)).splitlines()
    assert told[::2] == ["applied a.example", "applied b.example"]
    assert sites.run("apply", str(file)) == "the sites are up to date\n"

    after = sites.read()
    name = str(file.resolve())
    for domain, record in before.items():
        kept = msgspec.structs.replace(record, kept_in=name)
        assert not after[domain].differs_from(kept)


def test_what_a_file_no_longer_names_is_removed(sites: Sites, tmp_path: Path) -> None:
    file = tmp_path / "sites.toml"
    entry = '[[site]]\ndomain = "{}.example"\nwrite_keys = []\n'
    file.write_text(entry.format("a") + entry.format("b"))
    sites.run("apply", str(file))
    sites.run("add", "c.example")

    file.write_text(entry.format("b"))

    assert sites.run("apply", str(file)) == "removed a.example\n"
    assert sites.read().keys() == {"b.example", "c.example"}


def test_a_site_of_a_file_is_changed_in_the_file(sites: Sites, tmp_path: Path) -> None:
    file = tmp_path / "sites.toml"
    file.write_text('[[site]]\ndomain = "a.example"\nwrite_keys = []\n')
    sites.run("apply", str(file))

    for command in (["edit", "a.example", "rate_limit=1"], ["remove", "a.example"]):
        with pytest.raises(SiteKeptInFileError, match=f"is kept in {file}: change it"):
            sites.run(*command)
    assert sites.run("release", "a.example") == "released a.example\n"
    sites.run("edit", "a.example", "rate_limit=1")

    assert sites.read()["a.example"].rate_limit == 1


def test_the_list_says_what_matters(sites: Sites, tmp_path: Path) -> None:
    sites.run("add", "blocked.example", "rate_limit=0", "id=1")
    sites.run("add", "all.example", "consolidated=true", "id=2")
    sites.run(
        "add",
        "old.example",
        "id=3",
        "rate_limit=600",
        "monthly_quota=1000",
        "accept_traffic_until=2026-12-31",
    )
    sites.run("edit", "old.example", "domain=new.example")
    file = tmp_path / "sites.toml"
    file.write_text('[[site]]\ndomain = "file.example"\nid = 4\nwrite_keys = []\n')
    sites.run("apply", str(file))

    rows = [re.split(r"\s{2,}", line) for line in sites.run("list").splitlines()]

    limits = "600 in 60 s, 1000 a month, until 2026-12-31"
    assert rows == [
        ["DOMAIN", "ID", "KEYS", "LIMITS", "KEPT IN"],
        ["all.example", "2", "0", "consolidated", "ClickHouse"],
        ["blocked.example", "1", "1", "blocked", "ClickHouse"],
        ["file.example", "4", "0", "none", str(file)],
        ["new.example (was old.example)", "3", "1", limits, "ClickHouse"],
    ]


def test_what_is_wrong_is_an_error_and_changes_nothing(
    sites: Sites, tmp_path: Path
) -> None:
    sites.run("add", "a.example")
    before = sites.table.read()

    pages = ",".join(f"/{number}" for number in range(31))
    with pytest.raises(InvalidSiteError, match="31 are too many: 30 are allowed"):
        sites.run("edit", "a.example", f"blocked_pages={pages}")
    with pytest.raises(UnknownSiteError, match=r"there is no site b\.example"):
        sites.run("remove", "b.example")
    with pytest.raises(InvalidSiteError, match="give `overlap_hours` as a number"):
        sites.run("rotate-key", "a.example", "--overlap-hours", "-1")
    with pytest.raises(SitesFileError, match="does not exist"):
        sites.run("apply", str(tmp_path / "missing.toml"))

    assert sites.table.read() == before


def test_without_a_service_the_embedded_clickhouse_runs_for_the_command(
    tmp_path: Path,
) -> None:
    environ = {"HEADWATER_DATA_DIR": str(tmp_path / "data")}
    runner = CliRunner()

    added = runner.invoke(commands, ["sites", "add", "a.example"], env=environ)
    listed = runner.invoke(commands, ["sites", "list"], env=environ)

    assert added.exit_code == listed.exit_code == 0
    assert "a.example" in listed.stdout


def test_a_site_is_shown_with_all_that_it_says(sites: Sites) -> None:
    sites.run("add", "a.example", "rate_limit=7", "blocked_pages=/admin/*")

    shown = sites.run("show", "a.example")

    assert shown.startswith("# kept in ClickHouse, number ")
    assert 'domain = "a.example"' in shown
    assert 'rate_limit = 7\nblocked_pages = ["/admin/*"]\n' in shown


def test_an_edit_that_changes_nothing_says_so(sites: Sites) -> None:
    sites.run("add", "a.example")

    output = sites.run("edit", "a.example", "blocked_pages-=/nope")

    assert output == "nothing has changed: a.example was so before\n"


def test_a_site_that_a_file_takes_from_another_is_told(
    sites: Sites, tmp_path: Path
) -> None:
    files = [tmp_path / "one.toml", tmp_path / "two.toml"]
    for file in files:
        file.write_text(f'[[site]]\ndomain = "a.example"\nwrite_key = "{KEY}"\n')
    sites.run("apply", str(files[0]))

    output = sites.run("apply", str(files[1]))

    assert output == (
        f"applied a.example\n  it was kept in {files[0]}, and can be changed only in "
        f"{files[1]} from now on\n"
    )


@pytest.mark.parametrize("command", ["add", "edit"])
def test_help_names_the_fields(sites: Sites, command: str) -> None:
    output = " ".join(sites.run(command, "--help").split())

    assert "accept_traffic_until, allowed_hostnames" in output
    assert "docs/operation.md" in output
