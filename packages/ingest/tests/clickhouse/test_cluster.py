"""The tables of a cluster, as far as two embedded servers can show them.

They cannot replicate and know no ON CLUSTER. So the real server parses the statements
as they are, and runs them with the replication taken out, on two shards.
"""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

import pytest

from headwater_ingest.clickhouse.client import Client, connect
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.clickhouse.migrate import read_migrations
from headwater_ingest.clickhouse.template import Topology, render

pytestmark = pytest.mark.clickhouse

CLUSTER = Topology(cluster="prod")
STATEMENTS = [
    statement
    for migration in read_migrations()
    for statement in render(migration.template, CLUSTER, database="headwater")
]
ROWS = 1000

SHARD = "<shard><replica><host>127.0.0.1</host><port>{}</port></replica></shard>"
CONFIG = """
<clickhouse>
    <remote_servers><prod><secret>shared</secret>{shards}</prod></remote_servers>
</clickhouse>
"""


def without_replication(statement: str) -> str:
    statement = statement.replace(" ON CLUSTER `prod`", "")
    return re.sub(r"Replicated(\w+)\('[^']*', '[^']*'(?:, )?", r"\1(", statement)


def free_ports(number: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@pytest.fixture
def shards(
    make_server: Callable[..., EmbeddedClickHouse], tmp_path: Path
) -> Iterator[list[Client]]:
    """Connections to the two shards of a cluster that has the tables."""
    ports = free_ports(2)
    config = CONFIG.format(shards="".join(map(SHARD.format, ports)))
    with ExitStack() as connections:
        clients = []
        for port in ports:
            folder = tmp_path / str(port) / "config.d"
            folder.mkdir(parents=True)
            (folder / "cluster.xml").write_text(config)
            server = make_server(folder.parent, tcp_port=port)
            server.start()
            client = connect(server.url.without_database())
            clients.append(connections.enter_context(client))
            client.execute("CREATE DATABASE headwater")
        for client in clients:
            for statement in STATEMENTS:
                client.execute(without_replication(statement))
        yield clients


def insert(client: Client, token: str) -> None:
    ids = [UUID(int=number) for number in range(ROWS)]
    client.execute(
        "INSERT INTO headwater.events (site_id, user_id, event_id, props) VALUES",
        [[7] * ROWS, list(range(ROWS)), ids, [{"plan": "pro"}] * ROWS],
        columnar=True,
        settings={"insert_deduplication_token": token},
    )


def count(client: Client, table: str) -> int:
    [(number,)] = client.execute(f"SELECT count() FROM headwater.{table}")
    assert isinstance(number, int)
    return number


@pytest.mark.parametrize("statement", STATEMENTS, ids=range(len(STATEMENTS)))
def test_the_server_understands_each_statement_for_a_cluster(
    client: Client, statement: str
) -> None:
    assert client.execute("EXPLAIN AST " + statement)
    assert "ON CLUSTER prod" in client.execute(
        "SELECT formatQuery(%(statement)s)", {"statement": statement}
    )[0][0].replace("`", "")


def test_rows_are_spread_over_the_shards_and_seen_from_each(
    shards: list[Client],
) -> None:
    insert(shards[0], "block")
    here = [count(shard, "events_local") for shard in shards]

    assert min(here) > ROWS / 4
    assert sum(here) == ROWS
    assert [count(shard, "events") for shard in shards] == [ROWS, ROWS]


def test_a_repeated_insert_counts_once_over_all_shards(shards: list[Client]) -> None:
    insert(shards[0], "block")
    insert(shards[0], "block")

    assert count(shards[0], "events") == ROWS


def test_copies_that_came_through_two_nodes_meet_on_one_shard(
    shards: list[Client],
) -> None:
    insert(shards[0], "from one node")
    insert(shards[1], "from another")

    assert count(shards[0], "events_unique") == ROWS


def test_properties_can_be_asked_for_through_the_distributed_table(
    shards: list[Client],
) -> None:
    insert(shards[0], "block")

    for table in ("events", "events_unique"):
        query = f"SELECT DISTINCT meta.key, meta.value FROM headwater.{table}"
        assert shards[1].execute(query) == [(["plan"], ["pro"])]
