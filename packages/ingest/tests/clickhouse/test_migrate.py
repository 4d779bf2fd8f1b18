import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from headwater_ingest.clickhouse import migrate as module
from headwater_ingest.clickhouse.client import ClickHouseUrl, Client, connect
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.clickhouse.migrate import (
    Migration,
    SchemaState,
    migrate,
    read_migrations,
    schema_state,
)
from headwater_ingest.clickhouse.template import SINGLE, Topology, render
from headwater_ingest.errors import (
    ClickHouseUnreachableError,
    MigrationFailedError,
    SchemaChangedError,
    SchemaNewerError,
    TopologyChangedError,
)

pytestmark = pytest.mark.clickhouse

ALL = [migration.name for migration in read_migrations()]

# The only forms that may run twice, and on two nodes at once.
REPEATABLE = re.compile(
    r"CREATE (TABLE|MATERIALIZED VIEW|VIEW) IF NOT EXISTS "
    r"|CREATE OR REPLACE VIEW "
    r"|DROP \w+ IF EXISTS "
    r"|ALTER TABLE \S+\s+(ON CLUSTER \S+\s+)?"
    r"(ADD COLUMN IF NOT EXISTS|MODIFY|DROP COLUMN IF EXISTS) "
)


@pytest.fixture
def other_migrations(monkeypatch: pytest.MonkeyPatch) -> list[Migration]:
    """The migrations of the code under test; the test may change the list."""
    migrations = read_migrations()
    monkeypatch.setattr(module, "read_migrations", lambda: migrations)
    return migrations


def record(url: ClickHouseUrl) -> list[tuple[str, str]]:
    with connect(url) as client:
        rows: list[tuple[str, str]] = client.execute(
            "SELECT name, topology FROM schema_migrations FINAL ORDER BY name"
        )
    return rows


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [name[:5] for name in ALL] == [f"{n:04}_" for n in range(1, len(ALL) + 1)]


@pytest.mark.parametrize("topology", [SINGLE, Topology("prod")], ids=str)
def test_every_statement_may_run_twice(topology: Topology) -> None:
    statements = [
        statement
        for migration in read_migrations()
        for statement in render(migration.template, topology, database="hw")
    ]

    assert [each for each in statements if not REPEATABLE.match(each)] == []


def test_the_first_run_creates_everything_and_the_second_nothing(
    url: ClickHouseUrl,
) -> None:
    assert migrate(url) == ALL
    assert migrate(url) == []
    assert record(url) == [(name, "single") for name in ALL]


def test_nodes_that_migrate_at_once_leave_one_record(url: ClickHouseUrl) -> None:
    nodes = 6
    with ThreadPoolExecutor(nodes) as pool:
        results = [pool.submit(migrate, url) for _ in range(nodes)]

    assert ALL in [result.result() for result in results]
    assert record(url) == [(name, "single") for name in ALL]


def test_a_database_that_exists_need_not_be_created(url: ClickHouseUrl) -> None:
    with connect(url.without_database()) as client:
        client.execute(f"CREATE DATABASE {url.database}")

    assert migrate(url) == ALL


def test_a_newer_schema_is_refused_and_left_alone(
    url: ClickHouseUrl, other_migrations: list[Migration]
) -> None:
    other_migrations.append(Migration("9999_from_the_future", "SELECT 1"))
    migrate(url)
    other_migrations.pop()

    with pytest.raises(SchemaNewerError, match=r"9999_from_the_future.*: upgrade"):
        migrate(url)


def test_a_migration_that_was_edited_after_it_ran_is_refused(
    url: ClickHouseUrl, other_migrations: list[Migration]
) -> None:
    migrate(url)
    other_migrations[0] = replace(other_migrations[0], template="SELECT 2")

    with pytest.raises(SchemaChangedError, match=ALL[0]):
        migrate(url)


def test_a_migration_that_was_renamed_after_it_ran_is_refused(
    url: ClickHouseUrl, other_migrations: list[Migration]
) -> None:
    migrate(url)
    other_migrations[0] = replace(other_migrations[0], name="0001_other")
    other_migrations.append(Migration("9999_last", "SELECT 1"))

    with pytest.raises(SchemaChangedError, match=ALL[0]):
        migrate(url)


def test_the_topology_of_existing_tables_cannot_change(url: ClickHouseUrl) -> None:
    migrate(url)

    with pytest.raises(TopologyChangedError, match=r"'single' .* 'cluster prod'"):
        migrate(url, Topology(cluster="prod"))


def test_a_failed_migration_is_named_and_the_next_run_goes_on(
    url: ClickHouseUrl, other_migrations: list[Migration]
) -> None:
    half_done = "CREATE TABLE IF NOT EXISTS {{database}}.t (x UInt8) ENGINE = Memory;\n"
    other_migrations.append(Migration("9998_half", half_done + "SELECT missing"))

    with pytest.raises(MigrationFailedError, match=r"9998_half failed: .*missing"):
        migrate(url)
    other_migrations[-1] = Migration("9998_half", half_done)

    assert migrate(url) == ["9998_half"]


def test_a_server_that_is_away_is_named() -> None:
    with pytest.raises(ClickHouseUnreachableError, match=r"127\.0\.0\.1:1 "):
        migrate(ClickHouseUrl("127.0.0.1", port=1))


def test_a_server_that_dies_meanwhile_is_named_and_the_next_run_goes_on(
    make_server: Callable[..., EmbeddedClickHouse],
    eventually: Callable[[Callable[[], bool]], None],
    other_migrations: list[Migration],
) -> None:
    other_migrations.append(Migration("9998_deadly", "SYSTEM KILL"))
    with make_server() as server:
        with pytest.raises(ClickHouseUnreachableError, match=server.url.address):
            migrate(server.url)
        other_migrations[-1] = Migration("9998_deadly", "SELECT 1")
        eventually(lambda: server.restarts == 1)

        assert migrate(server.url) == ["9998_deadly"]


def test_the_state_tells_what_is_applied_and_what_is_missing(
    client: Client, url: ClickHouseUrl, other_migrations: list[Migration]
) -> None:
    other_migrations.append(Migration("9999_next", "SELECT 1"))

    state = schema_state(client, url.database)

    assert state == SchemaState(applied=tuple(ALL), pending=("9999_next",))


def test_the_state_of_a_database_that_does_not_exist_is_all_pending(
    client: Client,
) -> None:
    assert schema_state(client, "nowhere") == SchemaState((), tuple(ALL))
