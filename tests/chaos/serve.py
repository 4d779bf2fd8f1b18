"""The service as it runs, with points at which it may be killed, and a clock to set.

Run as `python -m tests.chaos.serve`, with the settings of the service in its
environment.
"""

import sqlite3
import sys
from collections.abc import Callable
from typing import Any

from tests.chaos import clock

clock.install()

# ruff: noqa: E402 - the clock goes first
from tests.chaos.old import limit_migrations
from tests.chaos.trap import MIGRATION_POINT, pass_point

from headwater_ingest import backoff, cli
from headwater_ingest.clickhouse import migrate
from headwater_ingest.http.intake import Intake
from headwater_ingest.journal import Journal, store
from headwater_ingest.journal.window import DuplicateWindow
from headwater_ingest.writer import supervisor


def before(owner: Any, name: str, point: str) -> None:
    """Puts a point before each call of a method or function."""
    inner: Callable[..., Any] = getattr(owner, name)

    def call(*arguments: Any, **named: Any) -> Any:
        pass_point(point)
        return inner(*arguments, **named)

    setattr(owner, name, call)


def after(owner: Any, name: str, point: str) -> None:
    """Puts a point after each call of a method or function."""
    inner: Callable[..., Any] = getattr(owner, name)

    def call(*arguments: Any, **named: Any) -> Any:
        result = inner(*arguments, **named)
        pass_point(point)
        return result

    setattr(owner, name, call)


def within_append(point: str) -> None:
    """Puts a point into the statement that appends: after the rows, before its end."""
    inner = store.Store.__init__

    def initialise(
        self: store.Store, connection: sqlite3.Connection, window: DuplicateWindow
    ) -> None:
        inner(self, connection, window)
        connection.create_function("pass_point", 1, pass_point)
        connection.execute(
            "CREATE TEMP TRIGGER pass_point AFTER INSERT ON chunks "
            f"BEGIN SELECT pass_point('{point}'); END"
        )

    store.Store.__init__ = initialise  # type: ignore[assignment, method-assign]


def install() -> None:
    """Puts all points in their places."""
    before(Journal, "append", "before append")
    within_append("after append")
    after(store.Store, "write", "after fsync")
    before(Intake, "_settle", "before the answer")
    after(migrate, "_execute", MIGRATION_POINT)
    before(migrate, "_run", MIGRATION_POINT)
    backoff.LONGEST_RESTART_S = 0.4  # type: ignore[misc]
    supervisor._COMMAND = (sys.executable, "-m", "tests.chaos.write")  # type: ignore[misc, assignment]


if __name__ == "__main__":
    install()
    limit_migrations()
    sys.exit(cli.run(["serve"]))
