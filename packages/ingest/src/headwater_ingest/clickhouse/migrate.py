"""Brings the tables in ClickHouse up to date with the code, and refuses to go back.

The migrations are the numbered files in ``schema/``. The table ``schema_migrations``
records each with its checksum once all of its statements have run:

====================  ============================================================
``name``              ``0001_events``
``checksum``          SHA-256 of the file, as it is before the template is filled
``topology``          ``single``, or ``cluster`` and its name
``applied_at``        when it was recorded
====================  ============================================================

ClickHouse has no transaction and no lock for this, and needs none here: every statement
may run any number of times, from several nodes at once and after a half-done run, and
leaves the same tables. So each node applies what it finds unrecorded; two that start
together do the same work twice, and the record keeps one row per name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any

from clickhouse_driver.errors import ServerException

from headwater_ingest.clickhouse.client import (
    CONNECTION_ERRORS,
    Client,
    connect,
    first_line,
    unreachable,
)
from headwater_ingest.clickhouse.template import SINGLE, Topology, render
from headwater_ingest.clickhouse.url import ClickHouseUrl
from headwater_ingest.errors import (
    MigrationFailedError,
    SchemaChangedError,
    SchemaNewerError,
    TopologyChangedError,
)

_CREATE_DATABASE = "CREATE DATABASE IF NOT EXISTS {{database}} {{on_cluster}}"
_CREATE_RECORD = """\
CREATE TABLE IF NOT EXISTS {{database}}.schema_migrations {{on_cluster}}
(
    name String,
    checksum String,
    topology String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {{shared_engine ReplacingMergeTree(applied_at)}}
ORDER BY name
"""
_READ_RECORD = (
    "SELECT name, checksum, topology FROM {{database}}.schema_migrations FINAL"
)
_ADD_RECORD = (
    "INSERT INTO {{database}}.schema_migrations (name, checksum, topology) VALUES"
)

# A statement on a cluster waits for every node, by default for up to 180 s.
_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file of the schema.

    Attributes:
        name: The file's name without its suffix, such as ``0001_events``.
        template: Its text, see `headwater_ingest.clickhouse.template`.
    """

    name: str
    template: str

    @property
    def checksum(self) -> str:
        """What tells this text from another."""
        return sha256(self.template.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Where a database stands.

    Attributes:
        applied: Names of the recorded migrations, in order.
        pending: Names of those that this code has beyond them.
    """

    applied: tuple[str, ...]
    pending: tuple[str, ...]


def migrate(url: ClickHouseUrl, topology: Topology = SINGLE) -> list[str]:
    """Create the database if it is missing, and apply every migration that is.

    Safe to run at any time, and from several nodes at once (see the module).

    Args:
        url: The database may be missing still; it is created.
        topology: What the tables are to be spread over.

    Returns:
        The names of the migrations that this call applied.

    Raises:
        SchemaError: The tables and this code do not fit; nothing was changed.
        MigrationFailedError: ClickHouse refused; another call goes on from there.
        ClickHouseUnreachableError: It is away, or went away; likewise.
        ClickHouseRefusedError: The login is wrong.
        ClickHouseTooOldError: The server is.
    """
    migrations = read_migrations()
    try:
        with connect(url.without_database(), timeout_s=_TIMEOUT_S) as client:
            recorded = _read_record(client, url.database)
            _check(recorded, migrations, topology=topology)
            missing = [each for each in migrations if each.name not in recorded]
            for migration in missing:
                _apply(client, migration, topology=topology, database=url.database)
    except CONNECTION_ERRORS as error:
        raise unreachable(url, error) from error
    return [migration.name for migration in missing]


def schema_state(client: Client, database: str) -> SchemaState:
    """Compare a database with this code, and change nothing.

    Raises:
        SchemaNewerError: The database is ahead of this code.
        SchemaChangedError: A migration that was applied is not the one we have.
    """
    migrations = read_migrations()
    recorded = _read_record(client, database)
    _check_names(recorded, migrations)
    pending = [each.name for each in migrations if each.name not in recorded]
    return SchemaState(tuple(sorted(recorded)), tuple(pending))


def read_migrations() -> list[Migration]:
    """Return the migrations of this code, in order."""
    folder = files("headwater_ingest.clickhouse") / "schema"
    found = [
        Migration(entry.name.removesuffix(".sql"), entry.read_text("utf-8"))
        for entry in folder.iterdir()
        if entry.name.endswith(".sql")
    ]
    return sorted(found, key=lambda migration: migration.name)


@dataclass(frozen=True, slots=True)
class _Recorded:
    checksum: str
    topology: str


def _read_record(client: Client, database: str) -> dict[str, _Recorded]:
    exists = client.execute(
        "SELECT 1 FROM system.tables "
        "WHERE database = %(database)s AND name = 'schema_migrations'",
        {"database": database},
    )
    if not exists:
        return {}
    rows = _execute(client, _READ_RECORD, database=database)
    return {name: _Recorded(checksum, topology) for name, checksum, topology in rows}


def _check(
    recorded: Mapping[str, _Recorded],
    migrations: list[Migration],
    *,
    topology: Topology,
) -> None:
    _check_names(recorded, migrations)
    others = {each.topology for each in recorded.values()} - {str(topology)}
    if others:
        raise TopologyChangedError(
            f"the tables were made for topology {min(others)!r} and cannot "
            f"become {str(topology)!r}: set the topology back, or name another database"
        )


def _check_names(
    recorded: Mapping[str, _Recorded], migrations: list[Migration]
) -> None:
    ours = {migration.name: migration.checksum for migration in migrations}
    for name, record in sorted(recorded.items()):
        if name not in ours and name > max(ours):
            raise SchemaNewerError(
                f"the tables are newer than this release (they have {name}, it knows "
                f"up to {max(ours)}): upgrade headwater-ingest"
            )
        if ours.get(name) != record.checksum:
            raise SchemaChangedError(
                f"migration {name} was applied in another form than this release has: "
                "install the release that made these tables, or name another database"
            )


def _apply(
    client: Client, migration: Migration, *, topology: Topology, database: str
) -> None:
    try:
        _create_record(client, topology, database=database)
        _run(client, migration.template, topology=topology, database=database)
        row = (migration.name, migration.checksum, str(topology))
        _execute(client, _ADD_RECORD, [row], database=database)
    except ServerException as error:
        raise _failed(migration, error) from error


def _create_record(client: Client, topology: Topology, *, database: str) -> None:
    # Asked first: whoever may use a database need not be allowed to create one.
    exists = client.execute(
        "SELECT 1 FROM system.databases WHERE name = %(database)s",
        {"database": database},
    )
    if not exists:
        _run(client, _CREATE_DATABASE, topology=topology, database=database)
    _run(client, _CREATE_RECORD, topology=topology, database=database)


def _run(client: Client, template: str, *, topology: Topology, database: str) -> None:
    for statement in render(template, topology, database=database):
        client.execute(statement)


def _execute(
    client: Client, template: str, rows: object = None, *, database: str
) -> Any:
    [query] = render(template, SINGLE, database=database)
    return client.execute(query, rows)


def _failed(migration: Migration, error: ServerException) -> MigrationFailedError:
    return MigrationFailedError(
        error.code,
        f"migration {migration.name} failed: {first_line(error)} (code {error.code}): "
        "remove the cause, such as a missing right of the user, and run it again",
    )
