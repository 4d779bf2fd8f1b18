"""The sites of a node, with a real table, a real file and a real disk."""

import asyncio
import stat
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from headwater_ingest import first_site
from headwater_ingest import site_sync as module
from headwater_ingest.clickhouse.client import ClickHouseUrl, Client, connect
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.clickhouse.migrate import migrate
from headwater_ingest.clickhouse.sites import ClickHouseSites, write_records
from headwater_ingest.errors import ClickHouseUnreachableError, SitesFileError
from headwater_ingest.shared_tables import SharedTables
from headwater_ingest.site_sync import SiteSync, merge_sites
from headwater_ingest.sites.known_sites import FILE_NAME, KnownSites
from headwater_ingest.sites.quota import MonthlyUsage
from headwater_ingest.sites.record import SiteRecord, WriteKey
from headwater_ingest.sites.registry import SiteRegistry
from headwater_ingest.sites.site_book import SiteBook
from headwater_ingest.sites.sites_file import SitesFile

pytestmark = pytest.mark.clickhouse

KEY, OTHER = "hw_0123456789abcdef", "hw_fedcba9876543210"
NOWHERE = ClickHouseUrl("127.0.0.1", port=1)
NOW_MS = 1_795_000_000_000

_numbers = count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    with EmbeddedClickHouse(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server


@pytest.fixture
def url(server: EmbeddedClickHouse) -> ClickHouseUrl:
    url = replace(server.url, database=f"sites_{next(_numbers)}")
    migrate(url)
    return url


@pytest.fixture
def table(url: ClickHouseUrl) -> ClickHouseSites:
    return ClickHouseSites(url)


@dataclass
class Node:
    """One node, whose ClickHouse can go away."""

    data_dir: Path
    url: ClickHouseUrl
    is_there: bool = True
    sites: SiteRegistry = field(default_factory=SiteRegistry)
    usage: MonthlyUsage = field(default_factory=MonthlyUsage)

    def __post_init__(self) -> None:
        self.data_dir.mkdir(exist_ok=True)
        self.file = SitesFile(self.data_dir / "sites.toml")
        if self.file.path.exists():
            self.file.load()
        tables = SharedTables(self.url, lambda: self.is_there)
        self.sync = SiteSync(
            self.sites,
            self.usage,
            file=self.file,
            data_dir=self.data_dir,
            tables=tables,
        )

    def begin(self, *, may_write_file: bool = False) -> None:
        run(self.sync.begin(may_write_file=may_write_file))

    def look(self) -> None:
        run(self.sync.look())

    def write_file(self, **keys: str) -> None:
        write(self.file.path, **keys)
        self.look()  # the file has to come to rest
        self.look()

    @property
    def domains(self) -> list[str]:
        return sorted(site.domain for site in self.sites.sites)


@pytest.fixture
def make_node(tmp_path: Path, url: ClickHouseUrl) -> Callable[..., Node]:
    def make(name: str = "node", **options: Any) -> Node:
        return Node(tmp_path / name, url, **options)

    return make


def run(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await work

    asyncio.run(bounded())


def write(path: Path, **keys: str) -> None:
    path.parent.mkdir(exist_ok=True)
    entries = [
        f'[[site]]\ndomain = "{name}.example"\nwrite_key = "{key}"\n'
        for name, key in keys.items()
    ]
    path.write_text("".join(entries))


def add(table: ClickHouseSites, domain: str, **given: object) -> SiteRecord:
    book = SiteBook(table.read(), now_ms=NOW_MS)
    record = book.add({"domain": domain, **given})
    table.write([record])
    return record


def test_what_is_added_to_the_table_is_in_force_at_the_next_look(
    make_node: Callable[..., Node], table: ClickHouseSites
) -> None:
    nodes = [make_node("a"), make_node("b")]
    for node in nodes:
        node.begin()

    add(table, "a.example", write_key=KEY)

    for node in nodes:
        assert node.sites.by_key(KEY) is None
        node.look()
        assert node.sites.by_key(KEY) is not None


def test_a_site_that_was_removed_is_not_in_force(
    make_node: Callable[..., Node], table: ClickHouseSites
) -> None:
    add(table, "a.example", write_key=KEY)
    node = make_node()
    node.begin()

    table.write([SiteBook(table.read(), now_ms=NOW_MS).remove("a.example")])
    node.look()

    assert node.domains == []
    assert node.sites.is_loaded


def test_nothing_is_replaced_when_nothing_has_changed(
    make_node: Callable[..., Node], table: ClickHouseSites
) -> None:
    add(table, "a.example")
    node = make_node()
    node.begin()
    before = node.sites.sites

    node.look()

    assert node.sites.sites is before


def test_a_first_start_without_any_sites_writes_a_file_and_applies_it(
    make_node: Callable[..., Node], table: ClickHouseSites
) -> None:
    node = make_node()

    node.begin(may_write_file=True)

    assert node.domains == ["example.com"]
    assert [record.domain for record in table.read()] == ["example.com"]
    assert stat.S_IMODE(node.file.path.stat().st_mode) == 0o600


def test_a_first_start_without_clickhouse_waits_for_it_with_the_first_file(
    make_node: Callable[..., Node], table: ClickHouseSites
) -> None:
    node = make_node(is_there=False)
    with capture_logs() as logs:
        node.begin(may_write_file=True)
    assert not node.sites.is_loaded
    assert not node.file.path.exists()
    assert [line["event"] for line in logs] == ["sites unknown"]

    node.is_there = True
    node.look()

    assert node.domains == ["example.com"]
    assert [record.domain for record in table.read()] == ["example.com"]
    assert [each.name for each in node.data_dir.glob("sites*")] == ["sites.toml"]


def test_a_first_start_without_clickhouse_takes_no_key_from_a_site_that_is_there(
    make_node: Callable[..., Node], table: ClickHouseSites
) -> None:
    add(table, "example.com", write_key=KEY)
    before = table.read()
    node = make_node(is_there=False)
    node.begin(may_write_file=True)

    node.is_there = True
    node.look()

    assert table.read() == before
    assert node.sites.by_key(KEY) is not None
    assert not node.file.path.exists()


def test_not_all_sites_are_known_before_the_table_was_seen(
    make_node: Callable[..., Node],
) -> None:
    node = make_node(is_there=False)
    node.write_file(a=KEY)
    assert node.domains == ["a.example"]
    assert not node.sites.is_whole

    node.is_there = True
    node.look()

    assert node.sites.is_whole


def test_a_first_file_that_was_cut_short_is_put_in_its_place(
    make_node: Callable[..., Node],
    table: ClickHouseSites,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lose(client: Client, records: Sequence[SiteRecord]) -> None:
        write_records(client, records)
        raise ClickHouseUnreachableError("nowhere", "the answer was lost")

    with monkeypatch.context() as patch:
        patch.setattr(first_site, "write_records", lose)
        node = make_node()
        node.begin(may_write_file=True)
    assert not node.file.path.exists()

    again = make_node()
    again.begin(may_write_file=True)

    (site,) = again.file.records
    assert [each.write_keys for each in table.read()] == [site.write_keys]
    assert again.domains == ["example.com"]


def test_the_first_file_of_a_node_that_came_second_is_none(
    make_node: Callable[..., Node],
    table: ClickHouseSites,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def come_second(_client: Client, _records: Sequence[SiteRecord]) -> None:
        add(table, "a.example", write_key=KEY)

    monkeypatch.setattr(first_site, "write_records", come_second)
    node = make_node()

    node.begin(may_write_file=True)

    assert node.domains == ["a.example"]
    assert list(node.data_dir.glob("sites*")) == []


def test_a_first_file_that_cannot_be_written_later_is_told(
    make_node: Callable[..., Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise SitesFileError([f"sites file {path} cannot be written"])

    monkeypatch.setattr(first_site, "write_first_file", refuse)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    node = make_node(is_there=False)
    node.begin(may_write_file=True)
    node.is_there = True

    async def check() -> None:
        keeping = asyncio.create_task(node.sync.keep())
        while not logs:  # noqa: ASYNC110 - nobody would set an event
            await asyncio.sleep(0.01)
        keeping.cancel()

    with capture_logs() as logs:
        run(check())

    assert logs[0]["event"] == "first sites file not written"


def test_a_node_that_joins_others_writes_no_file(
    make_node: Callable[..., Node], table: ClickHouseSites
) -> None:
    add(table, "a.example")
    node = make_node()

    node.begin(may_write_file=True)

    assert node.domains == ["a.example"]
    assert not node.file.path.exists()


def test_whoever_removed_all_sites_gets_no_new_one(
    make_node: Callable[..., Node], table: ClickHouseSites
) -> None:
    add(table, "a.example")
    table.write([SiteBook(table.read(), now_ms=NOW_MS).remove("a.example")])
    node = make_node()

    node.begin(may_write_file=True)

    assert node.domains == []


def test_a_first_file_that_cannot_be_written_is_an_error(
    make_node: Callable[..., Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise SitesFileError([f"sites file {path} cannot be written"])

    monkeypatch.setattr(first_site, "write_first_file", refuse)

    with pytest.raises(SitesFileError, match="cannot be written"):
        make_node().begin(may_write_file=True)


def test_a_node_starts_with_what_it_knew_while_clickhouse_is_away(
    make_node: Callable[..., Node], table: ClickHouseSites, tmp_path: Path
) -> None:
    add(table, "a.example", write_key=KEY, rate_limit=7)
    make_node().begin()

    again = Node(tmp_path / "node", NOWHERE, is_there=False)
    again.begin(may_write_file=True)

    site = again.sites.by_key(KEY)
    assert site is not None
    assert (site.domain, site.rate_limit) == ("a.example", 7)
    assert not again.file.path.exists()


def test_what_is_kept_on_disk_is_for_the_owner_and_holds_no_key(
    make_node: Callable[..., Node],
) -> None:
    node = make_node()
    write(node.file.path, a=KEY)
    node.look()
    node.look()

    path = node.data_dir / FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KEY not in path.read_text()


def test_a_disk_that_refuses_is_told_and_does_no_harm(
    make_node: Callable[..., Node],
    table: ClickHouseSites,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(KnownSites, "write", refuse)
    add(table, "a.example")
    node = make_node()

    with capture_logs() as logs:
        node.begin()
        node.look()

    assert node.domains == ["a.example"]
    assert [line["event"] for line in logs] == ["known sites not saved"]


def test_a_file_is_the_truth_about_what_it_names(
    make_node: Callable[..., Node], table: ClickHouseSites
) -> None:
    add(table, "a.example", write_key=OTHER)
    add(table, "b.example")
    node = make_node()
    node.begin()
    node.write_file(a=KEY)

    assert node.domains == ["a.example", "b.example"]
    assert node.sites.by_key(OTHER) is None
    (record,) = [each for each in table.read() if each.domain == "a.example"]
    assert record.write_keys == (WriteKey.of(KEY),)
    assert record.kept_in == node.file.name


def test_a_file_that_did_not_change_is_not_applied_again(
    make_node: Callable[..., Node], table: ClickHouseSites, tmp_path: Path
) -> None:
    node = make_node()
    node.write_file(a=KEY)
    before = table.read()

    node.look()
    Node(tmp_path / "node", node.url).begin()

    assert table.read() == before


def test_what_a_file_no_longer_names_is_gone_everywhere(
    make_node: Callable[..., Node],
) -> None:
    node, other = make_node("a"), make_node("b")
    other.begin()
    node.write_file(a=KEY, b=OTHER)
    other.look()
    assert other.domains == ["a.example", "b.example"]

    node.write_file(a=KEY)
    other.look()

    assert node.domains == other.domains == ["a.example"]


def test_a_change_of_the_file_needs_no_clickhouse_on_its_node(
    make_node: Callable[..., Node], table: ClickHouseSites
) -> None:
    node = make_node()
    node.write_file(a=KEY, b=OTHER)

    node.is_there = False
    node.write_file(a=OTHER)
    assert node.domains == ["a.example"]
    assert node.sites.by_key(OTHER) is not None
    assert len(SiteBook(table.read(), now_ms=NOW_MS).sites) == 2

    node.is_there = True
    node.look()
    assert len(SiteBook(table.read(), now_ms=NOW_MS).sites) == 1


def test_a_node_with_a_shorter_file_takes_nothing_from_another(
    make_node: Callable[..., Node], tmp_path: Path
) -> None:
    """As when a new version of the file has not come to all nodes yet."""
    first = make_node("a")
    first.write_file(a=KEY, b=OTHER)
    shorter = make_node("b")
    write(first.file.path, a=KEY)
    shorter.sync._file = first.file
    first.file.load()

    shorter.begin()

    assert shorter.domains == ["a.example", "b.example"]


def test_a_file_that_takes_a_key_of_another_site_is_told(
    make_node: Callable[..., Node], table: ClickHouseSites
) -> None:
    add(table, "b.example", write_key=KEY)
    node = make_node()
    node.begin()

    with capture_logs() as logs:
        node.write_file(a=KEY)
        node.look()

    problem = node.sync.problem
    told = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert told == ["sites file not applied to the table"]
    node.write_file(a=OTHER)
    problems = problem, node.sync.problem
    assert problems == ("a.example: a write key belongs to another site", None)
    assert node.domains == ["a.example", "b.example"]


def test_a_file_that_is_gone_at_the_start_takes_no_site_with_it(
    make_node: Callable[..., Node], table: ClickHouseSites
) -> None:
    node = make_node()
    node.begin()
    node.write_file(a=KEY, b=OTHER)
    node.file.path.unlink()

    again = make_node()
    again.begin(may_write_file=True)

    assert again.domains == ["a.example", "b.example"]
    assert "is gone" in (again.sync.problem or "")
    assert not again.file.path.exists()

    table.write([SiteBook(table.read(), now_ms=NOW_MS).release("a.example")])
    again.write_file(b=OTHER)
    assert again.domains == ["a.example", "b.example"]
    assert again.sync.problem is None


def test_a_broken_file_is_a_problem_and_changes_nothing(
    make_node: Callable[..., Node],
) -> None:
    node = make_node()
    node.write_file(a=KEY)

    node.file.path.write_text("[[site]")
    node.look()
    node.look()

    assert node.sync.problem is not None
    assert node.domains == ["a.example"]


def test_a_table_that_is_refused_is_stale_and_told_once(
    make_node: Callable[..., Node], table: ClickHouseSites, url: ClickHouseUrl
) -> None:
    add(table, "a.example")
    node = make_node()
    node.begin()
    with connect(url) as client, capture_logs() as logs:
        client.execute("RENAME TABLE sites TO hidden")
        node.look()
        node.look()
        is_stale = node.sync.is_stale
        client.execute("RENAME TABLE hidden TO sites")
        node.look()

    assert (is_stale, node.sync.is_stale) == (True, False)
    assert node.domains == ["a.example"]
    told = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert told == ["sites not read, the last known ones stay"]


def test_a_clickhouse_that_is_away_is_not_stale(tmp_path: Path) -> None:
    node = Node(tmp_path / "node", NOWHERE)

    with capture_logs() as logs:
        node.begin()
        node.look()

    assert not node.sync.is_stale
    assert [line["event"] for line in logs] == ["sites unknown"]


def test_a_quota_counts_what_all_nodes_have_accepted(
    make_node: Callable[..., Node], table: ClickHouseSites, url: ClickHouseUrl
) -> None:
    record = add(table, "a.example", monthly_quota=100)
    with connect(url) as client:
        client.execute(
            "INSERT INTO ingest_counters (minute, site_id, outcome, count) "
            "SELECT now(), %(id)s, 'accepted', 42",
            {"id": record.id},
        )
    node = make_node()

    node.begin()

    now_ms = module._now_ms()
    assert node.usage.watched == (record.id,)
    assert node.usage.count(record.id, now_ms=now_ms) == 42


def test_looks_go_on_after_one_that_failed(
    make_node: Callable[..., Node],
    table: ClickHouseSites,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = make_node()
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    failures = iter([RuntimeError("once")])
    look = node.sync.look

    async def fail_once() -> None:
        for failure in failures:
            raise failure
        await look()

    monkeypatch.setattr(node.sync, "look", fail_once)
    add(table, "a.example")

    async def check() -> None:
        keeping = asyncio.create_task(node.sync.keep())
        while not node.domains:  # noqa: ASYNC110 - nobody would set an event
            await asyncio.sleep(0.01)
        keeping.cancel()

    with capture_logs() as logs:
        run(check())

    assert "look at sites failed" in [line["event"] for line in logs]


def test_a_look_can_be_asked_for(
    make_node: Callable[..., Node],
    table: ClickHouseSites,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = make_node()
    monkeypatch.setattr(module, "LOOK_SECONDS", 3600)
    add(table, "a.example")

    async def check() -> None:
        keeping = asyncio.create_task(node.sync.keep())
        node.sync.wake()
        while not node.domains:  # noqa: ASYNC110 - nobody would set an event
            await asyncio.sleep(0.01)
        keeping.cancel()

    run(check())


def test_what_the_file_dropped_is_out_of_force_only_if_the_file_kept_it() -> None:
    kept = SiteRecord(id=1, domain="a.example", kept_in="/file")
    released = msgspec.structs.replace(kept, kept_in="")
    removed = msgspec.structs.replace(kept, removed=True)

    def merged(record: SiteRecord, dropped: list[int]) -> list[SiteRecord]:
        return merge_sites([record], [], kept_in="/file", dropped=dropped)

    assert merged(kept, []) == [kept]
    assert merged(kept, [1]) == []
    assert merged(released, [1]) == [released]
    assert merged(removed, []) == []
