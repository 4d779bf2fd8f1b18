from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.sites.rate_limit import RateWindows, seconds_to_window_end

WINDOW_S = 60
NOW_MS = 1_000_000 * WINDOW_S * 1000


def count(windows: RateWindows, site_id: int, now_ms: int) -> int:
    return windows.count(site_id, WINDOW_S, now_ms=now_ms)


def add(windows: RateWindows, site_id: int, now_ms: int, events: int = 1) -> None:
    windows.add(site_id, WINDOW_S, events=events, now_ms=now_ms)


def test_events_of_one_window_add_up() -> None:
    windows = RateWindows()

    add(windows, 1, NOW_MS, 3)
    add(windows, 1, NOW_MS + WINDOW_S * 1000 - 1)

    assert count(windows, 1, NOW_MS) == 4


def test_windows_begin_at_multiples_of_their_length() -> None:
    windows = RateWindows()

    add(windows, 1, NOW_MS - 1)

    assert count(windows, 1, NOW_MS - 1) == 1
    assert count(windows, 1, NOW_MS) == 0


def test_sites_are_counted_apart() -> None:
    windows = RateWindows()

    add(windows, 1, NOW_MS)

    assert count(windows, 2, NOW_MS) == 0


def test_another_length_begins_another_window() -> None:
    windows = RateWindows()
    add(windows, 1, NOW_MS, 3)

    assert windows.count(1, 7, now_ms=NOW_MS) == 0


def test_windows_that_have_passed_take_no_room() -> None:
    windows = RateWindows()

    for site_id in range(5000):
        add(windows, site_id, NOW_MS + site_id * 1000)

    assert len(windows) < 1200
    assert count(windows, 4999, NOW_MS + 4999 * 1000) == 1


def test_windows_that_run_are_all_kept() -> None:
    windows = RateWindows()

    for site_id in range(5000):
        add(windows, site_id, NOW_MS)

    assert all(count(windows, site_id, NOW_MS) == 1 for site_id in range(5000))


@given(st.integers(1, 86_400), st.integers(0, 2**42))
def test_after_the_time_that_is_told_the_next_window_has_begun(
    window_s: int, now_ms: int
) -> None:
    windows = RateWindows()
    windows.add(1, window_s, events=1, now_ms=now_ms)
    wait_s = seconds_to_window_end(window_s, now_ms)

    assert 1 <= wait_s <= window_s
    assert windows.count(1, window_s, now_ms=now_ms + wait_s * 1000) == 0
