"""Persons and groups, as ClickHouse makes them of events, against a plain model.

The model reads the events in the order of their time and does what each of them says,
on dictionaries.
"""

import json
import random
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, Final
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from headwater_ingest.clickhouse.client import Client
from headwater_ingest.pipeline.properties import text_properties

pytestmark = pytest.mark.clickhouse

Event = dict[str, Any]
Properties = dict[str, Any]

NOON_MS: Final = 1_790_000_000_000
MAX_LINKS: Final = 10
OPERATIONS: Final = ("set_once", "set", "add", "append", "unset")
"""In the order in which they take effect when one event holds several."""

OWNER: Final = {
    "persons": "person_id",
    "groups": "group_key",
    "person_ids": "distinct_id",
}
SITES: Final = 5

_sites = count(1)


def in_order(events: Iterable[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (event["timestamp"], event["event_id"].int))


def model_persons(events: list[Event]) -> dict[str, tuple[list[str], Properties]]:
    """Return every person with its ids and its properties."""
    links = newest_links(events)
    operations = [each for each in events if stated(each, "$")]
    ids = {each["distinct_id"] for each in operations}
    for link in filter(None, map(link_of, events)):
        ids.update(link)
    persons: dict[str, tuple[list[str], Properties]] = {}
    for each in sorted(ids):
        persons.setdefault(person_of(each, links), ([], {}))[0].append(each)
    for event in in_order(operations):
        _, properties = persons[person_of(event["distinct_id"], links)]
        apply(properties, stated(event, "$"))
    return persons


def model_groups(events: list[Event]) -> dict[str, Properties]:
    groups: dict[str, Properties] = {}
    for event in in_order(events):
        if stated(event, "$group_"):
            properties = groups.setdefault(event["raw"]["$group_key"], {})
            apply(properties, stated(event, "$group_"))
    return groups


def newest_links(events: list[Event]) -> dict[str, str]:
    return dict(filter(None, map(link_of, in_order(events))))


def link_of(event: Event) -> tuple[str, str] | None:
    """Return the alias and the id that it belongs to, if they are two."""
    alias = event["raw"].get("alias") or event["raw"].get("$anon_distinct_id")
    owner = event["distinct_id"]
    return (alias, owner) if alias and alias != owner else None


def person_of(distinct_id: str, links: dict[str, str]) -> str:
    way = [distinct_id]
    for _ in range(MAX_LINKS):
        following = links.get(way[-1])
        if following is None:
            break
        if following in way:
            return min(way[way.index(following) :])
        way.append(following)
    return way[-1]


def stated(event: Event, prefix: str) -> list[tuple[str, str, Any]]:
    """Return the operations that an event states, in the order of their effect."""
    found = []
    for operation in OPERATIONS:
        said = event["raw"].get(prefix + operation, {})
        items = said.items() if isinstance(said, dict) else zip(said, said, strict=True)
        found += [(operation, key, value) for key, value in items]
    return found


def apply(properties: Properties, operations: list[tuple[str, str, Any]]) -> None:
    for operation, key, value in operations:
        if operation == "unset":
            properties.pop(key, None)
        elif operation == "set" or (operation == "set_once" and key not in properties):
            properties[key] = value
        elif operation == "add" and is_number(value):
            if is_number(properties.get(key, 0)):
                properties[key] = plain(properties.get(key, 0) + value)
        elif operation == "append":
            properties[key] = [*as_list(properties, key), value]


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def plain(number: float) -> float:
    """Return a whole number as JSON of ClickHouse has it, 2 for 2.0."""
    return int(number) if number == int(number) else number


def as_list(properties: Properties, key: str) -> list[Any]:
    value = properties.get(key, [])
    return value if isinstance(value, list) else [value]


def as_json(properties: Properties) -> str:
    return json.dumps(
        properties, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )


def as_texts(properties: Properties) -> dict[str, str]:
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in properties.items()
        if value is not None and not isinstance(value, list | dict)
    }


# Halves and quarters add up exactly; "7" looks like a number and is none.
values = st.sampled_from(
    [1, 2, -0.5, 0.25, "x", '7"\\é', True, None, [], [1, "a"], {"b": 1}]
)
keys = st.sampled_from(["score", "tags é", ""])
operations = st.dictionaries(
    st.sampled_from(OPERATIONS), st.dictionaries(keys, values, min_size=1), min_size=1
)
ids = st.sampled_from(["ada", "Ada", "anon", "bea", "é"])
link_names = st.sampled_from(["$identify", "$create_alias"])


def make_statement(name: str, owner: str, said: dict[str, Properties]) -> Event:
    prefix = "$group_" if name == "$groupidentify" else "$"
    raw = {
        prefix + operation: [*values] if operation == "unset" else values
        for operation, values in said.items()
    }
    group = {"$group_type": "company", "$group_key": owner}
    return {
        "name": name,
        "distinct_id": owner,
        "raw": raw | group if name == "$groupidentify" else raw,
    }


def make_link(name: str, alias: str, distinct_id: str) -> Event:
    key = "$anon_distinct_id" if name == "$identify" else "alias"
    return {"name": name, "distinct_id": distinct_id, "raw": {key: alias}}


def make_way(name: str, length: int, back_to: int) -> list[Event]:
    """Return a way, longer than anybody follows perhaps, which may be a circle."""
    steps = list(range(length + 1))
    ends = [*steps[1:], *steps[back_to : back_to + 1]]
    return [
        make_link(name, f"step {start:02}", f"step {end:02}")
        for start, end in zip(steps, ends, strict=False)
    ]


statement_names = st.sampled_from(["$identify", "$set", "$groupidentify"])
statements = st.builds(make_statement, statement_names, ids, operations)
links = st.builds(make_link, link_names, ids, ids)
ways = st.builds(make_way, link_names, st.integers(1, 12), st.integers(0, 13))
histories = st.builds(
    lambda events, way: events + way,
    st.lists(statements | links, min_size=9, max_size=20),
    ways,
)


@given(
    histories=st.lists(histories, min_size=SITES, max_size=SITES),
    chance=st.randoms(use_true_random=True),
)
@settings(
    max_examples=6,
    deadline=None,
    # To shrink a failure would take minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    # Examples share the database: each has sites of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_the_views_are_the_model_in_any_order_and_after_any_repetition(
    client: Client,
    store_anyhow: Callable[..., None],
    histories: list[list[Event]],
    chance: random.Random,
) -> None:
    sites = {next(_sites): history for history in histories}
    for site, history in sites.items():
        for event in history:
            event["site_id"] = site
            event["event_id"] = UUID(int=chance.getrandbits(128))
            event["timestamp"] = NOON_MS + chance.choice([0, 0, 1])
    store_anyhow([as_row(each) for history in histories for each in history], chance)

    assert ask(client, "persons", "distinct_ids, props, properties", sites) == {
        (site, person): (ids, as_texts(properties), as_json(properties))
        for site, history in sites.items()
        for person, (ids, properties) in model_persons(history).items()
    }
    assert ask(client, "groups", "props, properties", sites) == {
        (site, group): (as_texts(properties), as_json(properties))
        for site, history in sites.items()
        for group, properties in model_groups(history).items()
    }
    assert ask(client, "person_ids", "person_id", sites) == {
        (site, each): (person_of(each, newest_links(history)),)
        for site, history in sites.items()
        for link in filter(None, map(link_of, history))
        for each in link
    }


def as_row(event: Event) -> Event:
    props, properties = text_properties(event["raw"])
    row = {name: value for name, value in event.items() if name != "raw"}
    return row | {"props": props, "properties": properties}


def ask(
    client: Client, view: str, columns: str, sites: Iterable[int]
) -> dict[tuple[int, str], tuple[Any, ...]]:
    """Return the rows of some sites, by site and id."""
    rows = client.execute(
        f"SELECT site_id, {OWNER[view]}, {columns} FROM {view} "
        "WHERE site_id IN %(sites)s",
        {"sites": [*sites]},
    )
    found = {(site, owner): tuple(values) for site, owner, *values in rows}
    assert len(found) == len(rows)
    return found
