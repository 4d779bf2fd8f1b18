"""The tables of a cluster, as far as two embedded servers can show them.

They cannot replicate and know no ON CLUSTER. So the real server parses the statements
as they are, and runs them with the replication taken out, on two shards.
"""

import json
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


def insert_statements(client: Client) -> None:
    """Events of many persons, who came with another id first, and their sessions."""
    names = ["$identify", "$groupidentify", "pageview"] * ROWS
    persons = [f"user {number}" for number in range(ROWS) for _ in range(3)]
    said = {
        "$identify": {"$set": {"plan": "pro"}},
        "$groupidentify": {"$group_set": {"seats": 5}},
        "pageview": {},
    }
    columns = {
        "site_id": [7] * len(names),
        "user_id": [number // 3 for number in range(len(names))],
        "event_id": [UUID(int=number) for number in range(len(names))],
        "name": names,
        "distinct_id": persons,
        "session_id": [number % 10 + 1 for number in range(len(names))],
        "props": [
            {"$anon_distinct_id": f"once {each}", "$group_key": "acme"}
            for each in persons
        ],
        "properties": [json.dumps(said[name]) for name in names],
    }
    client.execute(
        f"INSERT INTO headwater.events ({', '.join(columns)}) VALUES",
        list(columns.values()),
        columnar=True,
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


def test_what_is_made_of_events_is_put_together_from_all_shards(
    shards: list[Client],
) -> None:
    insert_statements(shards[0])
    local = [count(shard, "person_ops_local") for shard in shards]

    assert min(local) > 0
    assert sum(local) == ROWS
    for shard in shards:
        assert count(shard, "sessions") == 10
        assert count(shard, "groups") == 1
        assert count(shard, "person_ids") == 2 * ROWS
        assert count(shard, "persons WHERE props['plan'] = 'pro'") == ROWS
        assert count(shard, "person_events WHERE person_props['plan'] = 'pro'") == (
            2 * ROWS
        )


def test_a_repeated_block_of_counters_counts_once_over_all_shards(
    shards: list[Client],
) -> None:
    for _ in range(2):
        shards[0].execute(
            "INSERT INTO headwater.ingest_counters (site_id, count) VALUES",
            [list(range(ROWS)), [2] * ROWS],
            columnar=True,
            settings={"insert_deduplication_token": "block"},
        )

    for shard in shards:
        assert shard.execute("SELECT sum(count) FROM headwater.ingest_counters") == [
            (2 * ROWS,)
        ]
