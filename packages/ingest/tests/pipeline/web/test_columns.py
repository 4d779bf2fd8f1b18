from typing import Any

import msgspec
import pytest
import uuid_utils
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.pipeline.web.columns import gather_rows
from headwater_ingest.rows import (
    Row,
    decode_rows,
    encode_row,
    encode_rows,
    merge_columns,
)

COLUMNS = st.fixed_dictionaries(
    {"site_id": st.just(7), "name": st.sampled_from(["pageview", "Signup"])},
    optional={
        "pathname": st.text(max_size=3),
        "props": st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=2),
        "interactive": st.sampled_from([False]),
        "revenue_source_amount": st.decimals(0, 9, places=2),
        "country_code": st.sampled_from(["GB", "FR"]),
    },
)


def make_row(columns: dict[str, Any]) -> Row:
    return Row(uuid_utils.uuid7().bytes, columns)


@given(st.lists(COLUMNS.map(make_row), min_size=1, max_size=5))
def test_rows_gathered_are_the_same_rows_as_each_by_itself(rows: list[Row]) -> None:
    gathered = merge_columns([decode_rows(gather_rows(rows))])
    assert gathered == merge_columns([decode_rows(encode_row(row)) for row in rows])


def test_what_all_rows_have_in_common_is_stored_once() -> None:
    rows = [make_row({"site_id": 7, "pathname": each}) for each in ("/a", "/b")]
    decoded = decode_rows(gather_rows(rows))
    assert decoded.constants == {"site_id": 7}
    assert decoded.varying == {"pathname": ["/a", "/b"]}


def test_a_row_that_lacks_a_column_has_its_default() -> None:
    rows = [make_row({"browser": "Chrome"}), make_row({"interactive": False})]
    decoded = decode_rows(gather_rows(rows))
    assert decoded.varying == {"browser": ["Chrome", ""], "interactive": [True, False]}


def test_the_form_is_that_of_the_rows_of_a_batch() -> None:
    row = make_row({"site_id": 7})
    decoded = decode_rows(gather_rows([row, row]))
    assert decoded.event_id == [row.event_id] * 2
    assert msgspec.msgpack.decode(encode_rows(decoded)) == msgspec.msgpack.decode(
        gather_rows([row, row])
    )


def test_a_column_that_no_table_has_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        gather_rows([make_row({"colour": "blue"})])
