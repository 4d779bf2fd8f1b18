from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater_ingest.rows import (
    COLUMNS,
    Rows,
    decode_rows,
    encode_rows,
    keep_rows,
    merge_columns,
)

NAMES = [column.name for column in COLUMNS]
DEFAULTS = {column.name: column.default for column in COLUMNS}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "site_id": st.integers(0, 2**64 - 1),
    "timestamp": st.integers(-(2**62), 2**62),
    "name": TEXT,
    "props": st.dictionaries(TEXT, TEXT, max_size=3),
    "interactive": st.booleans(),
}


@st.composite
def rows(draw: st.DrawFn) -> Rows:
    """Draws rows of which each column is constant, varying or absent."""
    ids = draw(st.lists(st.binary(min_size=16, max_size=16), max_size=5))
    constants, varying = {}, {}
    for name, value in VALUES.items():
        match draw(st.sampled_from(["constant", "varying", "absent"])):
            case "constant":
                constants[name] = draw(value)
            case "varying":
                count = len(ids)
                varying[name] = draw(st.lists(value, min_size=count, max_size=count))
    return Rows(ids, constants, varying)


def as_dicts(some: Rows) -> list[dict[str, Any]]:
    """Returns the rows one by one: the plain model."""
    return [
        {
            **DEFAULTS,
            **some.constants,
            **{name: column[place] for name, column in some.varying.items()},
            "event_id": event_id,
        }
        for place, event_id in enumerate(some.event_id)
    ]


def merged_as_dicts(*sets: Rows) -> list[dict[str, Any]]:
    columns = merge_columns(sets)
    assert len(columns) == len(COLUMNS)
    return [dict(zip(NAMES, row, strict=True)) for row in zip(*columns, strict=True)]


@settings(deadline=None)
@given(rows())
def test_rows_survive_the_journal(some: Rows) -> None:
    assert decode_rows(encode_rows(some)) == some


@settings(deadline=None)
@given(rows())
def test_ids_travel_as_16_bytes(some: Rows) -> None:
    raw = msgspec.msgpack.decode(encode_rows(some))

    assert raw[0] == some.event_id


@pytest.mark.parametrize("length", [0, 15, 17])
def test_an_id_of_another_length_is_none(length: int) -> None:
    with pytest.raises(msgspec.ValidationError, match="16"):
        decode_rows(encode_rows(Rows([bytes(length)], {}, {})))


@settings(deadline=None)
@given(st.lists(rows(), max_size=4))
def test_merged_rows_are_what_a_plain_model_says(sets: list[Rows]) -> None:
    assert merged_as_dicts(*sets) == [row for some in sets for row in as_dicts(some)]


@settings(deadline=None)
@given(rows(), st.data())
def test_kept_rows_are_those_at_the_indices(some: Rows, data: st.DataObject) -> None:
    count = len(some.event_id)
    indices = data.draw(st.lists(st.integers(0, count - 1)) if count else st.just([]))

    kept = as_dicts(keep_rows(some, indices))

    assert kept == [as_dicts(some)[index] for index in indices]


@pytest.mark.parametrize("amount", ["12.345", "0", "-0.001", None])
def test_money_travels_as_text_and_arrives_as_a_decimal(amount: str | None) -> None:
    name = "revenue_source_amount"
    constant = Rows([bytes(16)], {name: amount and Decimal(amount)}, {})
    varying = Rows([bytes(16)], {}, {name: [amount and Decimal(amount)]})

    sets = [decode_rows(encode_rows(some)) for some in (constant, varying)]

    expected = None if amount is None else Decimal(amount)
    assert [row[name] for row in merged_as_dicts(*sets)] == [expected, expected]


def test_an_empty_set_of_rows_adds_nothing() -> None:
    assert merged_as_dicts(Rows([], {"name": "Clicked"}, {"timestamp": []})) == []
    assert merge_columns([]) == [[] for _ in COLUMNS]


def test_a_list_of_merged_columns_is_not_one_of_the_sets() -> None:
    some = Rows([bytes(16)], {}, {"name": ["Clicked"]})

    merge_columns([some])[NAMES.index("name")].append("Another")

    assert some.varying["name"] == ["Clicked"]


def test_every_column_has_one_name() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert NAMES[:4] == ["site_id", "event_id", "name", "timestamp"]
