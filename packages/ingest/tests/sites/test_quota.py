from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.sites.quota import MonthlyUsage

NOVEMBER = date(2026, 11, 21)


def ms(year: int, month: int, day: int = 1) -> int:
    return round(datetime(year, month, day, tzinfo=UTC).timestamp() * 1000)


NOW_MS = ms(2026, 11, 21)


def watching(*site_ids: int) -> MonthlyUsage:
    usage = MonthlyUsage()
    usage.watch(site_ids)
    return usage


def test_events_of_this_node_count_at_once() -> None:
    usage = watching(1)

    usage.add(1, 3, now_ms=NOW_MS)
    usage.add(1, 4, now_ms=NOW_MS)

    assert usage.count(1, now_ms=NOW_MS) == 7


def test_events_of_all_nodes_count_once_clickhouse_has_told() -> None:
    usage = watching(1)
    usage.add(1, 3, now_ms=NOW_MS)

    usage.learn(NOVEMBER, {1: 10}, now_ms=NOW_MS)
    usage.add(1, 1, now_ms=NOW_MS)

    assert usage.count(1, now_ms=NOW_MS) == 11


def test_what_clickhouse_has_not_got_yet_is_not_forgotten() -> None:
    usage = watching(1)
    usage.add(1, 100, now_ms=NOW_MS)

    usage.learn(NOVEMBER, {1: 20}, now_ms=NOW_MS)

    assert usage.count(1, now_ms=NOW_MS) == 100


def test_sites_that_nobody_asked_for_are_not_counted() -> None:
    usage = watching()

    usage.add(1, 3, now_ms=NOW_MS)
    usage.learn(NOVEMBER, {1: 10}, now_ms=NOW_MS)

    assert usage.watched == ()


def test_a_site_that_was_asked_for_is_counted_from_then_on() -> None:
    usage = MonthlyUsage()

    assert usage.count(1, now_ms=NOW_MS) == 0
    usage.add(1, 3, now_ms=NOW_MS)

    assert usage.count(1, now_ms=NOW_MS) == 3
    assert usage.watched == (1,)


def test_a_site_whose_quota_is_gone_is_forgotten() -> None:
    usage = watching(1, 2)
    usage.add(2, 5, now_ms=NOW_MS)

    usage.watch([2])

    assert usage.watched == (2,)
    assert usage.count(2, now_ms=NOW_MS) == 5


def test_a_month_begins_with_nothing() -> None:
    usage = watching(1)
    usage.add(1, 3, now_ms=ms(2026, 12, 31) + 86_399_999)

    assert usage.count(1, now_ms=ms(2027, 1)) == 0


def test_what_is_told_of_another_month_is_passed_over() -> None:
    usage = watching(1)

    usage.learn(NOVEMBER, {1: 10}, now_ms=ms(2026, 12))

    assert usage.count(1, now_ms=ms(2026, 12)) == 0


@given(st.integers(0, ms(2200, 1)), st.integers(0, 40))
def test_two_times_share_a_count_if_they_are_of_one_month(
    first_ms: int, days: int
) -> None:
    second_ms = first_ms + days * 86_400_000
    first, second = (
        datetime.fromtimestamp(each / 1000, UTC) for each in (first_ms, second_ms)
    )
    usage = watching(1)
    usage.add(1, 1, now_ms=first_ms)

    is_same = (first.year, first.month) == (second.year, second.month)
    assert usage.count(1, now_ms=second_ms) == is_same
