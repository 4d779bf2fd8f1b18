"""Earlier and later releases, as far as tables are concerned."""

from typing import Any, Final

OLD_SCHEMA: Final = "CHAOS_SCHEMA"
"""Names the last migration that the service knows; with `NEXT` it has one more."""

NEXT: Final = "next"
_NEXT_NAME: Final = "9000_next"


def limit_migrations(migrate: Any, last: str) -> None:
    """Makes a release of the service that knows migrations up to one of them."""
    everything = migrate.read_migrations()
    known = [each for each in everything if last == NEXT or each.name[:4] <= last]
    if last == NEXT:
        known.append(migrate.Migration(_NEXT_NAME, _change_view(everything)))
    migrate.read_migrations = lambda: known


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
