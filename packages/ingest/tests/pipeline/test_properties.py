from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater_ingest.pipeline.properties import (
    PRIVATE,
    text_columns,
    text_properties,
    without_private,
)

NAMES = st.sampled_from(["$ip", "$user_agent", "$set", "plan", "a", "A", "é", ""])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4)
    ),
    max_leaves=12,
)
PROPERTIES = st.dictionaries(NAMES, VALUES, max_size=8)


def without_private_anywhere(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: without_private_anywhere(item)
            for name, item in value.items()
            if name not in ("$ip", "$user_agent")
        }
    if isinstance(value, list):
        return [without_private_anywhere(item) for item in value]
    return value


def as_text(value: Any) -> str | None:
    """Returns the text of a scalar, or None for what has no text."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else None


@settings(deadline=None)
@given(PROPERTIES)
def test_properties_are_stored_as_a_plain_model_says(
    properties: dict[str, Any],
) -> None:
    kept = without_private_anywhere(properties)

    texts, json = text_properties(properties)

    assert texts == {
        name: text
        for name, value in kept.items()
        if (text := as_text(value)) is not None
    }
    if len(texts) == len(kept):
        assert json == "", "the texts say it all"
    else:
        assert msgspec.json.decode(json) == kept


@settings(deadline=None)
@given(PROPERTIES)
def test_texts_stand_in_the_order_of_the_bytes_of_their_names(
    properties: dict[str, Any],
) -> None:
    texts, _ = text_properties(properties)

    assert list(texts) == sorted(texts, key=str.encode)


@settings(deadline=None)
@given(st.lists(PROPERTIES, max_size=5))
def test_events_of_many_shapes_are_stored_as_each_of_them_alone(
    batch: list[dict[str, Any]],
) -> None:
    maps, jsons = text_columns(batch, [tuple(each) for each in batch])

    assert list(zip(maps, jsons, strict=True)) == list(map(text_properties, batch))


@settings(deadline=None)
@given(PROPERTIES)
def test_what_was_decoded_is_left_as_it_is(properties: dict[str, Any]) -> None:
    before = msgspec.json.encode(properties)

    text_properties(properties)

    assert msgspec.json.encode(properties) == before


@pytest.mark.parametrize(
    "value,text",
    [
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-7, "-7"),
        (2**200, str(2**200)),
        (1.0, "1.0"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        ("", ""),
        ("0", "0"),
    ],
)
def test_a_scalar_has_one_text(value: object, text: str) -> None:
    assert text_properties({"a": value}) == ({"a": text}, "")


@pytest.mark.parametrize("private", sorted(PRIVATE))
@pytest.mark.parametrize(
    "value", ["192.0.2.7", None, ["192.0.2.7"], {"v4": "192.0.2.7"}]
)
def test_a_private_property_leaves_no_trace(private: str, value: object) -> None:
    assert text_properties({private: value, "a": "b"}) == ({"a": "b"}, "")


def test_what_is_private_is_found_in_objects_and_lists() -> None:
    properties = {"$set": {"$ip": "192.0.2.7", "a": [{"$user_agent": "Firefox"}]}}

    assert text_properties(properties) == ({}, '{"$set":{"a":[{}]}}')


def test_texts_without_anything_private_are_not_copied() -> None:
    texts = {"company": "acme"}

    assert without_private(texts) is texts
    assert without_private({**texts, "$ip": "192.0.2.7"}) == texts
