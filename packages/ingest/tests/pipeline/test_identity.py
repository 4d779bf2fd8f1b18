from __future__ import annotations

import pytest

from headwater_ingest.pipeline.identity import check_identity, is_blocked_id
from headwater_schema.events import Event
from headwater_schema.outcomes import Reason


@pytest.mark.parametrize(
    "placeholder",
    [
        *("anonymous", "guest", "distinctid", "distinct_id", "id"),
        *("not_authenticated", "email", "undefined", "true", "false"),
        *("[object Object]", "NaN", "None", "none", "null", "0"),
        *("Anonymous", "GUEST", "DistinctId", "True", "UNDEFINED"),
        *('"undefined"', "'null'", ' "guest" ', "' true '", " 0 "),
        *("", " ", "\t\n", '""', "''", "' '"),
    ],
)
def test_a_placeholder_is_no_id(placeholder: str) -> None:
    assert is_blocked_id(placeholder)


@pytest.mark.parametrize(
    "distinct_id",
    [
        "ada",
        "NULL",
        "nan",
        "00",
        "1",
        "ids",
        "anonymous-7",
        "[object object]",
        "none "[:3],
    ],
)
def test_anything_else_is_an_id(distinct_id: str) -> None:
    assert not is_blocked_id(distinct_id)


def event(name: str, distinct_id: str = "ada", **properties: object) -> Event:
    names = {key.replace("__", "$"): value for key, value in properties.items()}
    return Event(name, distinct_id, properties=names)


@pytest.mark.parametrize(
    "good",
    [
        event("Clicked", "null"),
        event("$pageview", "null", alias="null"),
        event("$set", "null"),
        event("$create_alias", alias="anon-1"),
        # Merging is symmetric, so an alias may be the newer of the two.
        event("$create_alias", "anon-1", alias="ada"),
        event("$identify"),
        event("$identify", "null"),
        event("$identify", __anon_distinct_id="anon-1"),
        event("$identify", __anon_distinct_id=None),
        event("$identify", __anon_distinct_id=7),
        event("$identify", "null", __anon_distinct_id=["0"]),
        event("$groupidentify", "null", __group_type="company", __group_key="acme"),
    ],
)
def test_who_says_who_they_are_may_say_it(good: Event) -> None:
    assert check_identity(good) is None


@pytest.mark.parametrize(
    "bad,shown",
    [
        (event("$create_alias", alias="null"), "`null`"),
        (event("$create_alias", alias=" "), "` `"),
        (event("$create_alias", "undefined", alias="ada"), "`undefined`"),
        (event("$identify", __anon_distinct_id="0"), "`0`"),
        (event("$identify", __anon_distinct_id=""), "``"),
        (event("$identify", __anon_distinct_id=0), "`0`"),
        (event("$identify", __anon_distinct_id=True), "`true`"),
        (event("$identify", __anon_distinct_id=False), "`false`"),
        (event("$identify", "null", __anon_distinct_id=7), "`null`"),
        (event("$identify", "guest", __anon_distinct_id="anon-1"), "`guest`"),
    ],
)
def test_nobody_is_merged_with_a_placeholder(bad: Event, shown: str) -> None:
    assert check_identity(bad) == (
        Reason.BLOCKED_ID,
        f"{shown} is a placeholder, not a person",
    )


def test_a_long_placeholder_is_shown_in_part() -> None:
    found = check_identity(event("$create_alias", alias=" " * 100_000 + "null"))

    assert found is not None
    assert len(found[1]) < 100


@pytest.mark.parametrize(
    "bad,named",
    [
        (event("$create_alias"), "alias"),
        (event("$create_alias", alias=""), "alias"),
        (event("$create_alias", alias=7), "alias"),
        (event("$create_alias", alias=None), "alias"),
        (event("$groupidentify"), "$group_type"),
        (event("$groupidentify", __group_type="company"), "$group_key"),
        (event("$groupidentify", __group_type="", __group_key="acme"), "$group_type"),
        (event("$groupidentify", __group_type=1, __group_key="acme"), "$group_type"),
        (event("$groupidentify", __group_type="a", __group_key=7), "$group_key"),
    ],
)
def test_what_an_identity_lacks_is_named(bad: Event, named: str) -> None:
    found = check_identity(bad)

    assert found is not None
    assert found[0] == Reason.MALFORMED_EVENT
    assert f"`$.properties.{named}`" in found[1]
