from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.rows import COLUMNS, Rows, merge_columns
from headwater_ingest.writer.block import cut_by_year

TOKEN = "uuid/1-9"
NAMES = [column.name for column in COLUMNS]
TIMES = st.integers(946_684_800_000, 4_102_444_799_999)  # 2000 to 2099


def make_columns(times: list[int]) -> list[list[Any]]:
    ids = [UUID(int=index) for index in range(len(times))]
    return merge_columns([Rows(ids, {"site_id": 7}, {"timestamp": times})])


def year_of(time_ms: int) -> int:
    return datetime.fromtimestamp(time_ms / 1000, UTC).year


def ms(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type, misc]


def test_rows_of_one_year_are_one_insert_under_the_token_of_the_block() -> None:
    columns = make_columns([ms(2026, 1, 1), ms(2026, 12, 31, 23, 59, 59)])

    (insert,) = cut_by_year(columns, TOKEN)

    assert insert.token == TOKEN
    assert insert.columns is columns
    assert insert.row_count == 2


def test_rows_of_several_years_are_an_insert_per_year() -> None:
    times = [
        ms(2026, 1, 1),
        ms(2025, 12, 31, 23, 59, 59),
        ms(2024, 2, 29),
        ms(2026, 6, 1),
    ]

    inserts = cut_by_year(make_columns(times), TOKEN)

    assert [each.token for each in inserts] == [
        f"{TOKEN}/2024",
        f"{TOKEN}/2025",
        f"{TOKEN}/2026",
    ]
    assert [each.row_count for each in inserts] == [1, 1, 2]


@given(times=st.lists(TIMES, min_size=1, max_size=50))
def test_every_row_goes_out_once_in_the_same_way_each_time(times: list[int]) -> None:
    columns = make_columns(times)

    inserts = cut_by_year(columns, TOKEN)

    assert inserts == cut_by_year(make_columns(times), TOKEN)
    assert len({each.token for each in inserts}) == len(inserts)
    rows = [row for each in inserts for row in zip(*each.columns, strict=True)]
    assert sorted(rows, key=lambda row: row[1].int) == list(zip(*columns, strict=True))
    for insert in inserts:
        sent = insert.columns[NAMES.index("timestamp")]
        assert len({year_of(each) for each in sent}) == 1
