"""ClickHouse for the tests: one server for all, a database for each.

By default that is an embedded one in a process of its own; with
``HEADWATER_E2E_CLICKHOUSE=clickhouse://user:password@host:9000/db`` it is yours.
"""

import os
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from clickhouse_driver import Client
from tests.e2e.support.processes import Process, Processes, clean_environment
from tests.e2e.support.waiting import wait_for

from headwater_ingest.clickhouse.embedded import find_running

VARIABLE = "HEADWATER_E2E_CLICKHOUSE"

# `headwater-ingest clickhouse` takes a free port; a server that is to come back must
# come back where it was.
_ON_PORT = """
import sys
from pathlib import Path
from headwater_ingest.clickhouse.embedded import run_in_foreground
run_in_foreground(Path(sys.argv[1]), tcp_port=int(sys.argv[2]))
"""


@dataclass(frozen=True, slots=True)
class Database:
    """A database on some server, seen from outside the service."""

    url: str

    @property
    def name(self) -> str:
        return urlsplit(self.url).path.removeprefix("/")

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.hostname
        return parts.hostname, parts.port or 9000

    def at(self, port: int) -> "Database":
        """Returns the same database as it is reached by a port of this machine."""
        parts = urlsplit(self.url)
        login, _, _ = parts.netloc.rpartition("@")
        return Database(parts._replace(netloc=f"{login}@127.0.0.1:{port}").geturl())

    def query(self, text: str, parameters: object = None) -> list[tuple[Any, ...]]:
        """Returns the rows of a query, on a connection of its own."""
        with Client.from_url(self.url) as client:
            rows: list[tuple[Any, ...]] = client.execute(text, parameters)
            return rows

    def column(self, text: str, parameters: object = None) -> list[Any]:
        """Returns the only column of a query."""
        return [value for (value,) in self.query(text, parameters)]

    def rows(self, where: str = "1") -> list[dict[str, Any]]:
        """Returns the stored events, all columns, in the order of their time."""
        query = f"SELECT * FROM events WHERE {where} ORDER BY timestamp, name"
        with Client.from_url(self.url) as client:
            values, columns = client.execute(query, with_column_types=True)
        names = [name for name, _ in columns]
        return [dict(zip(names, row, strict=True)) for row in values]

    def stored_ids(self) -> list[str]:
        """Returns the id of each stored row; one that is there twice comes twice."""
        return self.column("SELECT toString(event_id) FROM events")

    def wait_for_rows(self, count: int, *, timeout_s: float = 20.0) -> None:
        """Returns when as many rows are stored, or more."""
        with Client.from_url(_server(self.url)) as client:
            wait_for(
                lambda: self._count_rows(client) >= count,
                what=f"{count} rows in ClickHouse",
                timeout_s=timeout_s,
            )

    def wait_for_ids(self, ids: Sequence[str]) -> None:
        """Returns when events with these ids are stored."""

        def all_there() -> bool:
            return set(ids) <= set(self.stored_ids())

        wait_for(all_there, what=f"{len(ids)} events in ClickHouse")

    def keep_copies(self) -> None:
        """Stops merges: from now on a row that is stored twice is seen twice."""
        with Client.from_url(_server(self.url)) as client:
            wait_for(lambda: self._has_table(client), what="the table of events")
            client.execute(f"SYSTEM STOP MERGES `{self.name}`.events")

    def drop(self) -> None:
        with Client.from_url(_server(self.url)) as client:
            client.execute(f"DROP DATABASE IF EXISTS `{self.name}`")

    def _count_rows(self, client: Client) -> int:
        """Returns how many rows are in the table, which may not be there yet."""
        if not self._has_table(client):
            return 0
        [(count,)] = client.execute(f"SELECT count() FROM `{self.name}`.events")
        return int(count)

    def _has_table(self, client: Client) -> bool:
        [(found,)] = client.execute(
            "SELECT count() FROM system.tables "
            "WHERE database = %(name)s AND name = 'events'",
            {"name": self.name},
        )
        return bool(found)


@dataclass(frozen=True, slots=True)
class ClickHouse:
    """A server on which each test has a database of its own."""

    url: str

    def make_database(self) -> Database:
        """Names a database that does not exist; the service makes it."""
        name = f"e2e_{uuid.uuid4().hex[:12]}"
        return Database(urlsplit(self.url)._replace(path=f"/{name}").geturl())


@dataclass(slots=True)
class OwnClickHouse:
    """An embedded server in processes of its own, to be killed and brought back."""

    processes: Processes
    directory: Path
    port: int = 0
    process: Process | None = None

    def start(self) -> ClickHouse:
        """Starts it, where it was before if it was started before."""
        command = [sys.executable, "-c", _ON_PORT, str(self.directory), str(self.port)]
        process = self.process = self.processes.start(
            command, name="clickhouse", environment=clean_environment()
        )
        url = wait_for(lambda: self._url(process), what="ClickHouse")
        self.port = urlsplit(url).port or 0
        return ClickHouse(url)

    def kill(self) -> None:
        """Ends it with SIGKILL: the server and what would start it again."""
        assert self.process, "ClickHouse has not been started"
        self.process.kill_family()

    def _url(self, process: Process) -> str:
        assert process.poll() is None, process.log
        # The last line that is printed when it can be connected to.
        if "HEADWATER_CLICKHOUSE_URL" not in process.log:
            return ""
        running = find_running(self.directory)
        return running.with_password() if running else ""


def given_clickhouse() -> ClickHouse | None:
    """Returns the server that the environment names."""
    url = os.environ.get(VARIABLE)
    return ClickHouse(url) if url else None


def embedded_database(data_dir: Path) -> Database:
    """Returns the database of a service that runs its own ClickHouse."""
    running = wait_for(
        lambda: find_running(data_dir / "clickhouse"), what="the embedded ClickHouse"
    )
    return Database(running.with_password())


def _server(url: str) -> str:
    """Returns the URL with a database that is there on every server."""
    return urlsplit(url)._replace(path="/system").geturl()
