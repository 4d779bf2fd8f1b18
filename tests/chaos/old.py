"""Earlier and later releases, as far as tables and journals are concerned."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from headwater_ingest.clickhouse import migrate
from headwater_ingest.journal.database import FILE_NAME
from headwater_ingest.journal.peek import peek

OLD_SCHEMA: Final = "CHAOS_SCHEMA"
"""Names the last migration that the service knows; with `NEXT` it has one more."""

NEXT: Final = "next"
_NEXT_NAME: Final = "9000_next"


def limit_migrations() -> None:
    """Makes a release of the service that knows what the environment says."""
    last = os.environ.get(OLD_SCHEMA)
    if last is None:
        return
    everything = migrate.read_migrations()
    known = [each for each in everything if last == NEXT or each.name[:4] <= last]
    if last == NEXT:
        known.append(migrate.Migration(_NEXT_NAME, _change_view(everything)))
    migrate.read_migrations = lambda: known


FROZEN_SITE: Final = 7
"""Whose rows the journal of an earlier release holds."""

_FROZEN: Final = (
    Path(__file__).parents[2] / "packages/ingest/tests/journal/golden/format-2.sql"
)


def write_old_journal(directory: Path) -> int:
    """Makes the journal of an earlier release, and returns how many rows wait in it."""
    directory.mkdir(parents=True)
    with closing(sqlite3.connect(directory / FILE_NAME)) as connection:
        connection.executescript(_FROZEN.read_text())
    found = peek(directory)
    assert found
    return found.rows_pending


def _change_view(migrations: Any) -> str:
    """Returns a migration that gives the view of sessions another query.

    That is how a release may change a view through which rows flow: in one step.
    """
    [template] = [each.template for each in migrations if "session" in each.name]
    _, _, rest = template.partition("CREATE MATERIALIZED VIEW IF NOT EXISTS ")
    statement, _, _ = rest.partition(";\n")
    name, _, _ = statement.partition(" ")
    _, _, query = statement.partition(" AS\n")
    assert "WHERE e." in query, "the view has changed: so must this"
    query = query.replace("WHERE e.", "WHERE 1 AND e.")
    return f"ALTER TABLE {name} MODIFY QUERY\n{query};\n"
