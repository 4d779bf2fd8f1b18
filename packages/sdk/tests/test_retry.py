"""Back-off grows, jitters and is capped; what the server asks for is a lower bound."""

import email.utils

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater._retry import (
    MAX_BACKOFF_S,
    MAX_RETRY_AFTER_S,
    RetryPolicy,
    RetrySchedule,
    parse_retry_after,
)


def schedule(
    max_retries: int = 2, pause_s: float = 5.0, chance: float = 1.0
) -> RetrySchedule:
    policy = RetryPolicy(max_retries=max_retries, round_pause_s=pause_s)
    return RetrySchedule(policy, lambda: chance)


@settings(deadline=None)
@given(failures=st.integers(1, 10**6), chance=st.floats(0, 1))
def test_backoff_lies_between_nothing_and_its_cap(failures: int, chance: float) -> None:
    policy = RetryPolicy(max_retries=3, round_pause_s=5)
    assert 0 <= policy.backoff_s(failures, chance) <= MAX_BACKOFF_S
    assert policy.backoff_s(failures, 1) <= policy.backoff_s(failures + 1, 1)


def test_backoff_doubles_from_half_a_second() -> None:
    policy = RetryPolicy(max_retries=3, round_pause_s=5)
    waits = [policy.backoff_s(failures, 1) for failures in range(1, 9)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60]


def test_jitter_may_cut_the_wait_to_nothing() -> None:
    policy = RetryPolicy(max_retries=3, round_pause_s=5)
    assert policy.backoff_s(5, 0) == 0


def test_round_is_over_after_its_retries_and_the_next_waits_for_an_interval() -> None:
    retry = schedule()
    assert [retry.fail(0), retry.fail(0)] == [False, False]
    assert retry.not_before == 1
    assert retry.fail(0)
    assert retry.not_before == 2 + 5


def test_backoff_goes_on_growing_over_rounds() -> None:
    retry = schedule(pause_s=1)
    waits = []
    for _ in range(9):
        retry.fail(0)
        waits.append(retry.not_before)
    assert waits == [0.5, 1, 2 + 1, 4, 8, 16 + 1, 32, 60, 60 + 1]


def test_without_retries_each_attempt_is_a_round() -> None:
    retry = schedule(max_retries=0)
    assert [retry.fail(0), retry.fail(0)] == [True, True]


def test_success_ends_all_waiting() -> None:
    retry = schedule()
    retry.fail(0, retry_after_s=100)
    retry.succeed()
    assert retry.not_before == float("-inf")
    retry.fail(0)
    assert retry.not_before == 0.5


def test_retry_after_is_waited_out_up_to_its_cap() -> None:
    retry = schedule()
    retry.fail(10, retry_after_s=30)
    assert retry.not_before == 40
    retry.fail(10, retry_after_s=10**9)
    assert retry.not_before == 10 + MAX_RETRY_AFTER_S


def test_retry_after_shorter_than_the_backoff_changes_nothing() -> None:
    retry = schedule()
    retry.fail(0, retry_after_s=0.1)
    assert retry.not_before == 0.5


def test_hurry_skips_the_pause_between_rounds() -> None:
    retry = schedule(max_retries=0)
    retry.fail(7)
    retry.hasten()
    assert retry.not_before <= 7
    retry.fail(7)
    assert retry.not_before == 7 + 0.5 + 5


def test_hurry_does_not_disturb_the_first_round() -> None:
    retry = schedule()
    retry.fail(0)
    retry.hasten()
    assert retry.not_before == 0.5


def test_hurry_does_not_override_the_server() -> None:
    retry = schedule(max_retries=0)
    retry.fail(0, retry_after_s=30)
    retry.hasten()
    assert retry.not_before == 30


@pytest.mark.parametrize(
    "value, seconds",
    [
        (None, None),
        ("0", 0),
        ("120", 120),
        ("9" * 400, float("9" * 18)),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20),
        ("Thu, 01 Jan 1970 00:02:00 -0000", 20),
        ("Thu, 01 Jan 1970 01:02:00 +0100", 20),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("soon", None),
        ("Thu, 99 Jan 1970 00:00:01 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(
    value: str | None, seconds: float | None
) -> None:
    assert parse_retry_after(value, 100.0) == seconds


@settings(deadline=None)
@given(st.text())
def test_retry_after_may_be_any_text(value: str) -> None:
    wait_s = parse_retry_after(value, 0.0)
    assert wait_s is None or wait_s >= 0


@settings(deadline=None)
@given(st.integers(0, 10**9))
def test_retry_after_reads_the_dates_that_servers_write(seconds: int) -> None:
    date = email.utils.formatdate(seconds, usegmt=True)
    assert parse_retry_after(date, 0.0) == seconds
