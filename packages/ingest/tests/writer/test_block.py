from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.rows import Rows
from headwater_ingest.writer.block import Insert, make_inserts

TOKEN = "uuid/1-9"
TIMES = st.integers(946_684_800_000, 4_102_444_799_999)  # 2000 to 2099


def make_sets(times: list[int]) -> list[Rows]:
    """Returns sets of three rows."""
    return [
        Rows(
            [UUID(int=start + index).bytes for index in range(len(part))],
            {"site_id": 7},
            {"timestamp": part},
        )
        for start in range(0, len(times), 3)
        if (part := times[start : start + 3])
    ]


def values_of(insert: Insert, name: str) -> list[object]:
    return insert.columns[insert.names.index(name)]


def year_of(time_ms: object) -> int:
    assert isinstance(time_ms, int)
    return datetime.fromtimestamp(time_ms / 1000, UTC).year


def ms(date: str) -> int:
    return int(datetime.fromisoformat(f"{date}+00:00").timestamp() * 1000)


def test_rows_of_one_year_are_one_insert_under_the_token_of_the_block() -> None:
    times = [ms("2026-01-01T00:00:00"), ms("2026-12-31T23:59:59.999")]

    (insert,) = make_inserts(make_sets(times), TOKEN)

    assert insert.token == TOKEN
    assert insert.row_count == 2
    assert values_of(insert, "timestamp") == times


def test_rows_of_several_years_are_an_insert_per_year() -> None:
    times = [
        ms("2026-01-01T00:00:00"),
        ms("2025-12-31T23:59:59.999"),
        ms("2024-02-29T00:00:00"),
        ms("2026-06-01T00:00:00"),
    ]

    inserts = make_inserts(make_sets(times), TOKEN)

    assert [each.token for each in inserts] == [
        f"{TOKEN}/2024",
        f"{TOKEN}/2025",
        f"{TOKEN}/2026",
    ]
    assert [each.row_count for each in inserts] == [1, 1, 2]


@given(times=st.lists(TIMES, min_size=1, max_size=50))
def test_every_row_goes_out_once_in_the_same_way_each_time(times: list[int]) -> None:
    inserts = make_inserts(make_sets(times), TOKEN)

    assert inserts == make_inserts(make_sets(times), TOKEN)
    assert len({each.token for each in inserts}) == len(inserts)
    sent = {
        event_id: time_ms
        for each in inserts
        for event_id, time_ms in zip(
            values_of(each, "event_id"), values_of(each, "timestamp"), strict=True
        )
    }
    ids = [UUID(int=index).bytes for index in range(len(times))]
    assert sent == dict(zip(ids, times, strict=True))
    assert sum(each.row_count for each in inserts) == len(times)
    for each in inserts:
        assert len({year_of(time) for time in values_of(each, "timestamp")}) == 1


def test_columns_that_no_row_says_anything_about_are_left_out() -> None:
    sets = [
        Rows([UUID(int=1).bytes], {"name": "a", "sdk": "python"}, {}),
        Rows([UUID(int=2).bytes], {"name": "b"}, {"pathname": ["/"]}),
    ]

    (insert,) = make_inserts(sets, TOKEN)

    assert insert.names == ("event_id", "name", "timestamp", "pathname", "sdk")
    assert values_of(insert, "name") == ["a", "b"]
    assert values_of(insert, "pathname") == ["", "/"]
    assert values_of(insert, "sdk") == ["python", ""]
