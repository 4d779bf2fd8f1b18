"""The page about the tables: what it lists is there, and what it shows can be asked."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from headwater_ingest.clickhouse.client import Client
from headwater_ingest.pipeline.properties import text_properties

pytestmark = pytest.mark.clickhouse

PAGE: Final = Path(__file__).parents[4] / "docs/reference/tables.md"
TEXT: Final = PAGE.read_text("utf-8")
SECTION: Final = re.compile(r"^##+ `(\w+)`\n(.*?)(?=^##|\Z)", re.DOTALL | re.MULTILINE)
COLUMNS: Final = re.compile(r"^\| column .*\n\| --- .*\n((?:\|.*\n)+)", re.MULTILINE)
COLUMN: Final = re.compile(r"^\| `([\w.]+)` \| (.+?) \| .*\|$", re.MULTILINE)
QUERY: Final = re.compile(r"^```sql\n(.*?)^```$", re.DOTALL | re.MULTILINE)
QUERIES: Final = QUERY.findall(TEXT)

Columns = list[tuple[str, str]]

NOON_MS: Final = 1_790_000_000_000
SAID: Final[list[tuple[str, dict[str, Any]]]] = [
    ("$identify", {"$set": {"plan": "pro", "email": "a@b.example", "tags": ["vip"]}}),
    ("$create_alias", {"alias": "anon"}),
    ("$groupidentify", {"$group_set": {"plan": "big"}}),
    ("pageview", {}),
    ("order", {"plan": "pro", "price": 9.99}),
]


@pytest.fixture
def example(client: Client, store: Callable[..., None]) -> Client:
    """A connection to the data that the examples ask about."""
    [(site_id,)] = client.execute("SELECT sipHash64('example.com')")
    store([make_event(site_id, number) for number in range(len(SAID))], "token")
    client.execute(
        "INSERT INTO ingest_counters VALUES",
        [(NOON_MS // 1000, site_id, "accepted", "", len(SAID))],
    )
    return client


def make_event(site_id: int, number: int) -> dict[str, Any]:
    name, said = SAID[number]
    group = {"$group_type": "company", "$group_key": "acme"}
    props, properties = text_properties(said | group)
    return {
        "event_id": UUID(int=number),
        "site_id": site_id,
        "name": name,
        "distinct_id": "ada",
        "session_id": 5,
        "timestamp": NOON_MS,
        "pathname": "/",
        "props": props,
        "properties": properties,
        "groups": {"company": "acme"},
    }


def listed() -> dict[str, Columns]:
    """Return the tables of the page; some have the columns of another, and more."""
    found: dict[str, Columns] = {}
    for name, text in SECTION.findall(TEXT):
        inherited = re.search(r"^The columns of `(\w+)`", text.strip())
        columns = found[inherited[1]] if inherited else []
        own = "".join(COLUMNS.findall(text))
        found[name] = [*columns, *COLUMN.findall(own)]
    return found


def existing(client: Client) -> dict[str, Columns]:
    tables = client.execute(
        "SELECT name FROM system.tables WHERE database = currentDatabase() "
        "AND engine != 'MaterializedView' AND name != 'schema_migrations'"
    )
    return {
        name: [(column, shown(kind)) for column, kind, *_ in described]
        for (name,) in tables
        for described in [client.execute(f"DESCRIBE {name}")]
    }


def shown(kind: str) -> str:
    """Return a type as the page shows it: without how merges put values together."""
    if simple := re.match(r"SimpleAggregateFunction\(\w+, (.*)\)", kind):
        kind = simple[1]
    return f"`{' '.join(kind.split())}`".replace("( ", "(")


def test_every_table_and_view_is_listed_with_its_columns(client: Client) -> None:
    assert listed() == existing(client)


def test_every_example_has_an_answer(example: Client) -> None:
    unanswered = [query for query in QUERIES if not example.execute(query)]

    assert len(QUERIES) > 10
    assert unanswered == []
