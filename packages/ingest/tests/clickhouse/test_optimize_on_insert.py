"""Blocks that are stored as they come: every table has each row once all the same.

`optimize_on_insert = 0` leaves to the merges what the server would otherwise sort out
before it stores a block. The tables are asked without FINAL and with merges stopped, so
that nothing can put right what a repetition has doubled.
"""

import json
import random
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from headwater_ingest.clickhouse.client import Client

pytestmark = pytest.mark.clickhouse

NOW_MS = 1_790_000_000_000
TABLES = (
    "events",
    "session_states",
    "person_ops",
    "person_aliases",
    "group_ops",
    "ingest_counters",
    "site_usage",
)
COUNTERS = (
    "INSERT INTO ingest_counters (minute, site_id, outcome, reason, count) VALUES"
)


def make_event(chance: random.Random) -> dict[str, Any]:
    name = chance.choice(["pageview", "$identify", "$groupidentify", "signup"])
    properties = {"$set": {"plan": "a"}, "$group_set": {"size": 3}}
    return {
        "event_id": uuid4(),
        "site_id": 7,
        "name": name,
        "timestamp": NOW_MS + chance.randrange(100 * 86_400_000),
        "session_id": chance.randrange(4),
        "distinct_id": f"user {chance.randrange(5)}",
        "pathname": "/",
        "props": {"$anon_distinct_id": "anon", "$group_type": "c", "$group_key": "k"},
        "properties": json.dumps(properties) if name.startswith("$") else "",
    }


def rows_in(client: Client) -> dict[str, int]:
    return {
        table: client.execute(f"SELECT count() FROM {table}")[0][0] for table in TABLES
    }


@pytest.mark.parametrize("optimize", [0, 1])
def test_a_block_that_is_sent_again_adds_no_row_to_any_table(
    client: Client, store: Callable[..., None], optimize: int
) -> None:
    chance = random.Random(random.random())  # pytest-randomly prints its seed
    for table in TABLES:
        client.execute(f"SYSTEM STOP MERGES {table}")
    blocks = {f"uuid/{n}": [make_event(chance) for _ in range(40)] for n in range(6)}
    columns = [[NOW_MS // 1000] * 2, [7] * 2, ["accepted"] * 2, [""] * 2, [30, 10]]

    def send(token: str) -> None:
        settings = {"optimize_on_insert": optimize}
        store(blocks[token], token, **settings)
        client.execute(
            COUNTERS,
            columns,
            columnar=True,
            settings={"insert_deduplication_token": f"{token}/counters", **settings},
        )

    for token in blocks:
        send(token)
    once = rows_in(client)
    for token in chance.choices([*blocks], k=12):
        send(token)

    assert rows_in(client) == once
    assert once["events"] == 240
    assert min(once.values()) > 0


def test_rows_that_are_equal_in_one_block_wait_for_a_merge_and_are_one_for_readers(
    client: Client, store: Callable[..., None]
) -> None:
    event = {**make_event(random.Random(1)), "name": "pageview", "session_id": 5}

    store([event, event], "token")

    assert client.execute("SELECT count() FROM events") == [(2,)]
    assert client.execute("SELECT event_id FROM events_unique") == [
        (event["event_id"],)
    ]
    assert client.execute("SELECT events FROM sessions") == [(1,)]
    client.execute("OPTIMIZE TABLE events FINAL")
    assert client.execute("SELECT count() FROM events") == [(1,)]


def test_every_connection_asks_for_it(client: Client) -> None:
    assert client.execute("SELECT getSetting('optimize_on_insert')") == [(False,)]


def test_a_token_is_known_whichever_way_its_block_was_stored(
    client: Client, store: Callable[..., None]
) -> None:
    block = [{**make_event(random.Random(2)), "event_id": UUID(int=n)} for n in (1, 2)]

    store(block, "token", optimize_on_insert=1)
    store(block, "token", optimize_on_insert=0)

    assert client.execute("SELECT count() FROM events") == [(2,)]
