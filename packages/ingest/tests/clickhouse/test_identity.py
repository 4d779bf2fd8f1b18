"""Persons and groups by example; the rest of their rules is held against a model."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

import pytest

from headwater_ingest.clickhouse.client import Client
from headwater_ingest.pipeline.properties import text_properties

pytestmark = pytest.mark.clickhouse

State = Callable[..., None]

NOON_MS: Final = 1_790_000_000_000


@pytest.fixture
def state(store: Callable[..., None]) -> State:
    """Store one event; each happens a second after the one before."""
    number = 0

    def state(
        name: str, distinct_id: str, properties: dict[str, Any] | None = None
    ) -> None:
        nonlocal number
        number += 1
        props, text = text_properties(properties or {})
        event = {
            "event_id": UUID(int=number),
            "site_id": 1,
            "name": name,
            "distinct_id": distinct_id,
            "timestamp": NOON_MS + 1000 * number,
            "props": props,
            "properties": text,
        }
        store([event], f"token {number}")

    return state


def persons(client: Client) -> dict[str, list[str]]:
    return dict(client.execute("SELECT person_id, distinct_ids FROM persons"))


def properties(client: Client, person: str) -> dict[str, Any]:
    [(text,)] = client.execute(
        "SELECT properties FROM persons WHERE person_id = %(person)s",
        {"person": person},
    )
    found: dict[str, Any] = json.loads(text)
    return found


def test_what_is_stated_inside_of_set_counts_and_its_copy_outside_does_not(
    client: Client, state: State
) -> None:
    """The BilldogEng clients send both."""
    state("$identify", "ada", {"$set": {"plan": "pro"}, "plan": "pro", "price": 1})

    assert properties(client, "ada") == {"plan": "pro"}


def test_properties_of_other_events_state_nothing(client: Client, state: State) -> None:
    state("order", "ada", {"$set": {"plan": "pro"}})

    assert persons(client) == {}


def test_scalar_properties_can_be_asked_for_as_texts(
    client: Client, state: State
) -> None:
    state("$set", "ada", {"$set": {"plan": "pro", "seats": 5, "vip": True, "x": [1]}})

    assert client.execute("SELECT props FROM persons") == [
        ({"plan": "pro", "seats": "5", "vip": "true"},)
    ]


def test_a_sum_that_is_no_number_any_more_is_not_made(
    client: Client, state: State
) -> None:
    for _ in range(2):
        state("$set", "ada", {"$add": {"atoms": 1.5e308}})

    assert properties(client, "ada") == {"atoms": 1.5e308}


def test_a_name_may_hold_anything(client: Client, state: State) -> None:
    state("$set", "ada", {"$set": {'"a": 1, \\ é\n': 1}, "$append": {"": None}})

    assert properties(client, "ada") == {'"a": 1, \\ é\n': 1, "": [None]}


@pytest.mark.parametrize("direction", [("ada", "anon"), ("anon", "ada")], ids=str)
def test_two_linked_ids_are_one_person_whichever_is_called_the_alias(
    client: Client, state: State, direction: tuple[str, str]
) -> None:
    distinct_id, alias = direction
    state("$set", "ada", {"$set": {"plan": "pro"}})
    state("$set", "anon", {"$set": {"source": "ad"}})
    state("$create_alias", distinct_id, {"alias": alias})

    assert persons(client) == {distinct_id: ["ada", "anon"]}
    assert properties(client, distinct_id) == {"plan": "pro", "source": "ad"}


def test_the_anonymous_id_of_an_identify_becomes_an_id_of_the_person(
    client: Client, state: State
) -> None:
    state("$identify", "ada", {"$anon_distinct_id": "anon"})

    assert persons(client) == {"ada": ["ada", "anon"]}


def test_a_link_to_itself_is_none(client: Client, state: State) -> None:
    state("$create_alias", "ada", {"alias": "ada"})

    assert client.execute("SELECT * FROM person_aliases") == []


def test_an_id_goes_over_to_the_person_that_it_was_linked_to_last(
    client: Client, state: State
) -> None:
    """A computer that two people share."""
    state("$identify", "ada", {"$anon_distinct_id": "anon"})
    state("$identify", "bea", {"$anon_distinct_id": "anon"})

    assert persons(client) == {"ada": ["ada"], "bea": ["anon", "bea"]}


@pytest.mark.parametrize("links, person", [(10, "id 10"), (11, "id 10")])
def test_a_way_is_followed_over_ten_links(
    client: Client, state: State, links: int, person: str
) -> None:
    ids = [f"id {number:02}" for number in range(links + 1)]
    for alias, distinct_id in pairwise(ids):
        state("$create_alias", distinct_id, {"alias": alias})

    assert client.execute(
        "SELECT person_id FROM person_ids WHERE distinct_id = 'id 00'"
    ) == [(person,)]


def test_a_circle_ends_at_its_smallest_id_also_from_outside(
    client: Client, state: State
) -> None:
    for alias, distinct_id in pairwise(["a", "d", "b", "c", "d"]):
        state("$create_alias", distinct_id, {"alias": alias})

    assert persons(client) == {"b": ["a", "b", "c", "d"]}


def test_ids_are_those_of_one_site(client: Client, store: Callable[..., None]) -> None:
    link = {"name": "$create_alias", "distinct_id": "ada", "props": {"alias": "anon"}}
    other = link | {"distinct_id": "bea"}
    store(
        [
            link | {"site_id": 1, "event_id": UUID(int=1)},
            other | {"site_id": 2, "event_id": UUID(int=2)},
        ],
        "token",
    )

    assert client.execute(
        "SELECT site_id, person_id, distinct_ids FROM persons ORDER BY site_id"
    ) == [(1, "ada", ["ada", "anon"]), (2, "bea", ["anon", "bea"])]


def test_a_group_has_the_properties_that_were_stated_last(
    client: Client, state: State
) -> None:
    group = {"$group_type": "company", "$group_key": "acme"}
    state("$groupidentify", "acme", {**group, "$group_set": {"seats": 50, "plan": "a"}})
    state("$groupidentify", "acme", {**group, "$group_set": {"seats": 51}})

    assert client.execute("SELECT * FROM groups") == [
        (1, "company", "acme", {"plan": "a", "seats": "51"}, '{"plan":"a","seats":51}')
    ]


@pytest.mark.parametrize("join_use_nulls", [0, 1])
def test_each_event_is_shown_with_its_person_as_it_is_now(
    client: Client, state: State, join_use_nulls: int
) -> None:
    state("visit", "anon")
    state("visit", "stranger")
    state("$identify", "ada", {"$set": {"plan": "pro"}, "$anon_distinct_id": "anon"})
    state("visit", "ada")

    assert client.execute(
        "SELECT distinct_id, person_id, person_props FROM person_events "
        "WHERE name = 'visit' ORDER BY timestamp",
        settings={"join_use_nulls": join_use_nulls},
    ) == [
        ("anon", "ada", {"plan": "pro"}),
        ("stranger", "stranger", {}),
        ("ada", "ada", {"plan": "pro"}),
    ]


def test_events_of_nobody_are_not_events_of_persons(
    client: Client, state: State
) -> None:
    state("pageview", "")
    state("$groupidentify", "acme", {"$group_type": "company", "$group_key": "acme"})

    assert client.execute("SELECT * FROM person_events") == []


def test_an_event_that_came_twice_is_one_event_of_its_person(
    client: Client, store: Callable[..., None]
) -> None:
    event = {"event_id": UUID(int=1), "site_id": 1, "name": "o", "distinct_id": "ada"}
    store([event], "one node")
    store([event], "another")

    assert client.execute("SELECT count() FROM person_events") == [(1,)]


@pytest.mark.parametrize("view", ["persons", "groups", "person_events"])
def test_a_question_about_one_site_reads_the_rows_of_that_site_only(
    client: Client, state: State, view: str
) -> None:
    state("$set", "ada", {"$set": {"plan": "pro"}})
    state("$groupidentify", "a", {"$group_key": "a", "$group_set": {"plan": "pro"}})
    lines = client.execute(
        f"EXPLAIN indexes = 1 SELECT * FROM {view} WHERE site_id = 2"
    )

    assert any("site_id in [2, 2]" in line for (line,) in lines)
