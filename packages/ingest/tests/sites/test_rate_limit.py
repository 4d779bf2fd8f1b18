from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.sites.rate_limit import RateWindows

WINDOW_S = 60
NOW_MS = 1_000_000 * WINDOW_S * 1000
PLENTY = 2**62


class Clock:
    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


def windows_at(now_ms: int = NOW_MS) -> tuple[RateWindows, Clock]:
    clock = Clock(now_ms)
    return RateWindows(clock), clock


def claim(windows: RateWindows, events: int, limit: int = PLENTY, site: int = 1) -> int:
    return windows.claim(site, WINDOW_S, events=events, limit=limit)


def test_events_of_one_window_add_up() -> None:
    windows, clock = windows_at()

    assert claim(windows, 3, limit=4) == 3
    clock.now_ms += WINDOW_S * 1000 - 1

    assert claim(windows, 1, limit=4) == 1
    assert claim(windows, 1, limit=4) == 0


def test_windows_begin_at_multiples_of_their_length() -> None:
    windows, clock = windows_at(NOW_MS - 1)
    assert claim(windows, 1, limit=1) == 1

    clock.now_ms = NOW_MS

    assert claim(windows, 1, limit=1) == 1


def test_sites_are_counted_apart() -> None:
    windows, _ = windows_at()
    claim(windows, 1, limit=1)

    assert claim(windows, 1, limit=1, site=2) == 1


def test_another_length_begins_another_window() -> None:
    windows, _ = windows_at()
    claim(windows, 1, limit=1)

    assert windows.claim(1, 7, events=1, limit=1) == 1


def test_what_would_fit_a_fresh_window_is_taken_whole_or_not_at_all() -> None:
    windows, _ = windows_at()
    claim(windows, 1, limit=3)

    assert claim(windows, 3, limit=3) == 0
    assert claim(windows, 2, limit=3) == 2


def test_what_fits_no_window_is_cut_to_the_room_that_there_is() -> None:
    windows, _ = windows_at()
    claim(windows, 1, limit=3)

    assert claim(windows, 4, limit=3) == 2
    assert claim(windows, 4, limit=3) == 0


def test_a_limit_that_was_lowered_leaves_no_room() -> None:
    windows, _ = windows_at()
    claim(windows, 5, limit=10)

    assert claim(windows, 1, limit=2) == 0
    assert claim(windows, 9, limit=2) == 0


@given(st.integers(1, 86_400), st.integers(0, 2**42))
def test_after_the_time_that_is_told_the_next_window_has_begun(
    window_s: int, now_ms: int
) -> None:
    windows, clock = windows_at(now_ms)
    windows.claim(1, window_s, events=1, limit=1)
    wait_s = windows.seconds_to_end(window_s)

    assert 1 <= wait_s <= window_s
    clock.now_ms += wait_s * 1000
    assert windows.claim(1, window_s, events=1, limit=1) == 1
