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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater_ingest.clickhouse.client import Client
from headwater_ingest.pipeline.properties import text_properties

pytestmark = pytest.mark.clickhouse

Event = dict[str, Any]
Properties = dict[str, Any]
Store = Callable[..., None]

NOON_MS: Final = 1_790_000_000_000
MAX_LINKS: Final = 10
OPERATIONS: Final = ("set_once", "set", "add", "append", "unset")
"""In the order in which they take effect when one event holds several."""

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
                properties[key] = properties.get(key, 0) + value
        elif operation == "append":
            properties[key] = [*as_list(properties, key), value]


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_list(properties: Properties, key: str) -> list[Any]:
    value = properties.get(key, [])
    return value if isinstance(value, list) else [value]


def as_json(properties: Properties) -> str:
    """Return a form in which 2 and 2.0 are the same, but 1 and true are not."""
    whole = {
        key: int(value) if isinstance(value, float) and value.is_integer() else value
        for key, value in properties.items()
    }
    return json.dumps(whole, sort_keys=True)


def as_texts(properties: Properties) -> dict[str, str]:
    whole = json.loads(as_json(properties))
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in whole.items()
        if value is not None and not isinstance(value, list | dict)
    }


def statement(operations: dict[str, Any], prefix: str) -> Properties:
    return {prefix + operation: values for operation, values in operations.items()}


# Halves and quarters add up exactly; "7" looks like a number and is none.
values = st.sampled_from(
    [1, 2, -0.5, 0.25, "x", '7"\\é', True, None, [], [1, "a"], {"b": 1}]
)
keys = st.sampled_from(["score", "tags é", ""])
operations_on_keys = st.dictionaries(
    st.sampled_from(OPERATIONS), st.dictionaries(keys, values, min_size=1), min_size=1
).map(lambda said: said | ({"unset": list(said["unset"])} if "unset" in said else {}))
some_ids = st.sampled_from(["ada", "Ada", "anon", "bea", "é"])

statements = st.builds(
    lambda name, distinct_id, said: {
        "name": name,
        "distinct_id": distinct_id,
        "raw": statement(said, "$"),
    },
    name=st.sampled_from(["$identify", "$set"]),
    distinct_id=some_ids,
    said=operations_on_keys,
)
group_statements = st.builds(
    lambda key, said: {
        "name": "$groupidentify",
        "distinct_id": key,
        "raw": {
            "$group_type": "company",
            "$group_key": key,
            **statement(said, "$group_"),
        },
    },
    key=st.sampled_from(["acme", "initech"]),
    said=operations_on_keys,
)


def make_link(name: str, alias: str, distinct_id: str) -> Event:
    key = "$anon_distinct_id" if name == "$identify" else "alias"
    return {"name": name, "distinct_id": distinct_id, "raw": {key: alias}}


link_names = st.sampled_from(["$identify", "$create_alias"])
links = st.builds(make_link, link_names, some_ids, some_ids)


def make_way(name: str, length: int, back_to: int) -> list[Event]:
    """Return a way, longer than anybody follows perhaps, which may be a circle."""
    steps = list(range(length + 1))
    ends = [*steps[1:], *steps[back_to : back_to + 1]]
    return [
        make_link(name, f"step {start:02}", f"step {end:02}")
        for start, end in zip(steps, ends, strict=False)
    ]


ways = st.builds(make_way, link_names, st.integers(1, 12), st.integers(0, 13))


@given(
    events=st.lists(
        statements | group_statements | links | links, min_size=9, max_size=30
    ),
    way=ways,
    places=st.lists(
        st.tuples(st.sampled_from([0, 0, 1]), st.uuids()),
        min_size=43,
        max_size=43,
        unique_by=lambda place: place[1],
    ),
    shuffle=st.randoms(use_true_random=False),
    optimize=st.sampled_from([0, 1]),
)
@settings(
    max_examples=20,
    deadline=None,
    # Examples share the database: each has a site of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_the_views_are_the_model_in_any_order_and_after_any_repetition(
    client: Client,
    store: Store,
    *,
    events: list[Event],
    way: list[Event],
    places: list[tuple[int, UUID]],
    shuffle: random.Random,
    optimize: int,
) -> None:
    site = next(_sites)
    events = [
        event | {"timestamp": NOON_MS + time_ms, "event_id": event_id}
        for event, (time_ms, event_id) in zip(events + way, places, strict=False)
    ]
    for token, block in blocks_of(events, shuffle):
        rows = [as_row(event, site) for event in block]
        store(rows, f"{site}/{token}", optimize_on_insert=optimize)

    persons = model_persons(events)
    assert stored_persons(client, site) == {
        person: (ids, as_texts(properties), as_json(properties))
        for person, (ids, properties) in persons.items()
    }
    assert stored_ids(client, site) == {
        each: person
        for person, (ids, _) in persons.items()
        for each in ids
        if any(each in (link_of(event) or ()) for event in events)
    }
    assert stored_groups(client, site) == {
        group: (as_texts(properties), as_json(properties))
        for group, properties in model_groups(events).items()
    }


def as_row(event: Event, site: int) -> Event:
    props, properties = text_properties(event["raw"])
    row = event | {"site_id": site, "props": props, "properties": properties}
    del row["raw"]
    return row


def blocks_of(
    events: list[Event], shuffle: random.Random
) -> list[tuple[str, list[Event]]]:
    """Cut events into blocks in any order, some of them again, under any token."""
    events = shuffle.sample(events, len(events))
    cut = shuffle.randint(0, len(events) - 1)
    blocks = [("rest", events[cut:]), *([("first", events[:cut])] if cut else [])]
    anew = ("another", shuffle.sample(events, shuffle.randint(1, len(events))))
    return [*shuffle.sample([*blocks, anew], len(blocks) + 1), shuffle.choice(blocks)]


def stored_persons(
    client: Client, site: int
) -> dict[str, tuple[list[str], dict[str, str], str]]:
    rows = client.execute(
        "SELECT person_id, distinct_ids, props, properties FROM persons "
        f"WHERE site_id = {site}"
    )
    return {
        person: (ids, props, as_json(json.loads(properties)))
        for person, ids, props, properties in rows
    }


def stored_ids(client: Client, site: int) -> dict[str, str]:
    return dict(
        client.execute(
            f"SELECT distinct_id, person_id FROM person_ids WHERE site_id = {site}"
        )
    )


def stored_groups(client: Client, site: int) -> dict[str, tuple[dict[str, str], str]]:
    rows = client.execute(
        f"SELECT group_key, props, properties FROM groups WHERE site_id = {site}"
    )
    return {
        group: (props, as_json(json.loads(properties)))
        for group, props, properties in rows
    }
