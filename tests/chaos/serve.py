"""The service as it runs, with points at which it may be killed, and a clock to set.

Run as `python -m tests.chaos.serve`, with the settings of the service in its
environment.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from headwater_ingest.journal.connection import Connection
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


def before_commit(module: Any, point: str) -> None:
    """Puts a point before the end of each transaction that a module begins."""
    inner = module.transaction

    @contextmanager
    def transaction(connection: Connection) -> Iterator[None]:
        with inner(connection):
            yield
            pass_point(point)

    module.transaction = transaction


def install() -> None:
    """Puts all points in their places."""
    before(Journal, "append", "before append")
    before_commit(store, "after append")
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
