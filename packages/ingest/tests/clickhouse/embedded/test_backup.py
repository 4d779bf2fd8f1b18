"""The recipe of the operation page for a backup while the server runs."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from headwater_ingest.clickhouse.client import connect
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.clickhouse.migrate import migrate, schema_state

pytestmark = pytest.mark.clickhouse

INSERT = "INSERT INTO events (site_id, event_id, session_id, name) VALUES"


@pytest.fixture
def backup(tmp_path: Path) -> Iterator[Path]:
    """A backup of a server that has an event and its session."""
    with EmbeddedClickHouse(tmp_path / "old") as server:
        migrate(server.url)
        with connect(server.url) as client:
            row = [[7], [uuid4()], [5], ["pageview"]]
            client.execute(INSERT, row, columnar=True)
            client.execute("BACKUP DATABASE headwater TO File('monday')")
        yield tmp_path / "old" / "backups" / "monday"


def test_a_backup_of_a_running_server_is_restored_into_a_new_one(
    tmp_path: Path, backup: Path
) -> None:
    new = tmp_path / "new"
    (new / "backups").mkdir(parents=True)
    shutil.copytree(backup, new / "backups" / "monday")

    with EmbeddedClickHouse(new) as server:
        with connect(server.url.without_database()) as client:
            client.execute("RESTORE DATABASE headwater FROM File('monday')")
        with connect(server.url) as client:
            assert schema_state(client, "headwater").pending == ()
            assert client.execute("SELECT session_id, events FROM sessions") == [(5, 1)]
            client.execute(INSERT, [[7], [uuid4()], [5], ["pageview"]], columnar=True)
            assert client.execute("SELECT events FROM sessions") == [(2,)]
