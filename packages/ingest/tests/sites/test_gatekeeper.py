from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from headwater_ingest.sites.gatekeeper import Cut, Gatekeeper, Refusal
from headwater_ingest.sites.model import Site
from headwater_schema.outcomes import Reason

SITE = Site(1, "a.example", frozenset())
NOW_MS = round(datetime(2026, 11, 21, 12, 0, 13, tzinfo=UTC).timestamp() * 1000)
TODAY = date(2026, 11, 21)
YESTERDAY = date(2026, 11, 20)
MIDNIGHT_MS = round(datetime(2026, 11, 22, tzinfo=UTC).timestamp() * 1000)


class Gate(Gatekeeper):
    """A gate whose windows turn by the time that a test names."""

    def __init__(self) -> None:
        super().__init__(clock=lambda: self.steady_ms)
        self.steady_ms = NOW_MS


def check(gate: Gate, site: Site, now_ms: int = NOW_MS) -> Reason | None:
    gate.steady_ms = now_ms
    return gate.check(site, now_ms=now_ms)


def admit(
    gate: Gate, site: Site, count: int, now_ms: int = NOW_MS
) -> Cut | Refusal | None:
    gate.steady_ms = now_ms
    return gate.admit(site, count, now_ms=now_ms)


def accept(gate: Gate, count: int, now_ms: int = NOW_MS) -> None:
    gate.count_accepted(SITE.id, count, now_ms=now_ms)


def test_a_site_without_limits_is_let_in() -> None:
    gate = Gate()

    assert [check(gate, SITE) for _ in range(1000)] == [None] * 1000
    assert admit(gate, SITE, 10_000) is None


def test_the_last_day_is_let_in_to_its_end() -> None:
    site = replace(SITE, accept_traffic_until=TODAY)
    gate = Gate()

    assert check(gate, site, MIDNIGHT_MS - 1) is None
    assert check(gate, site, MIDNIGHT_MS) is Reason.PAYMENT_REQUIRED
    assert admit(gate, site, 1, MIDNIGHT_MS - 1) is None
    assert admit(gate, site, 1, MIDNIGHT_MS) == Refusal(Reason.PAYMENT_REQUIRED)


def test_a_blocked_site_is_never_let_in() -> None:
    site = replace(SITE, rate_limit=0)

    assert check(Gate(), site) is Reason.BLOCK
    assert admit(Gate(), site, 1) == Refusal(Reason.BLOCK)


def test_a_window_lets_in_as_many_as_its_limit() -> None:
    site, gate = replace(SITE, rate_limit=3), Gate()

    found = [check(gate, site) for _ in range(5)]

    assert found == [None] * 3 + [Reason.THROTTLE] * 2
    assert check(gate, site, NOW_MS + 60_000) is None


def test_the_length_of_the_window_is_the_sites() -> None:
    site, gate = replace(SITE, rate_limit=1, rate_window_s=5), Gate()

    assert check(gate, site, 10_000) is None
    assert check(gate, site, 14_999) is Reason.THROTTLE
    assert check(gate, site, 15_000) is None


@pytest.mark.parametrize("step_ms", [-3_600_000, -1, 60_000, 86_400_000])
def test_a_step_of_the_systems_clock_turns_no_window(step_ms: int) -> None:
    site, gate = replace(SITE, rate_limit=1), Gate()
    assert gate.check(site, now_ms=NOW_MS) is None

    assert gate.check(site, now_ms=NOW_MS + step_ms) is Reason.THROTTLE
    found = gate.admit(site, 1, now_ms=NOW_MS + step_ms)
    assert found == Refusal(Reason.THROTTLE, retry_after_s=47)
    gate.steady_ms += 47_000
    assert gate.check(site, now_ms=NOW_MS + step_ms) is None


def test_a_renamed_site_keeps_its_window() -> None:
    site, gate = replace(SITE, rate_limit=1), Gate()
    check(gate, site)

    assert check(gate, replace(site, domain="new.example")) is Reason.THROTTLE


def test_sites_have_windows_of_their_own() -> None:
    site, gate = replace(SITE, rate_limit=1), Gate()
    check(gate, site)

    assert check(gate, replace(site, id=2)) is None


def test_a_quota_is_spent_by_what_was_accepted() -> None:
    site, gate = replace(SITE, monthly_quota=2), Gate()

    assert [check(gate, site) for _ in range(5)] == [None] * 5
    accept(gate, 2)

    assert check(gate, site) is Reason.QUOTA_EXCEEDED
    assert admit(gate, site, 1) == Refusal(Reason.QUOTA_EXCEEDED)


def test_a_quota_of_nothing_lets_nothing_in() -> None:
    assert check(Gate(), replace(SITE, monthly_quota=0)) is Reason.QUOTA_EXCEEDED


def test_the_next_month_has_the_whole_quota() -> None:
    site, gate = replace(SITE, monthly_quota=2), Gate()
    check(gate, site)
    accept(gate, 2)

    assert check(gate, site, NOW_MS + 10 * 86_400_000) is None


@pytest.mark.parametrize(
    "changes,reason",
    [
        ({"accept_traffic_until": YESTERDAY}, Reason.PAYMENT_REQUIRED),
        ({"accept_traffic_until": TODAY}, Reason.QUOTA_EXCEEDED),
        ({"monthly_quota": None, "accept_traffic_until": None}, Reason.BLOCK),
    ],
)
def test_the_first_reason_counts(changes: dict[str, object], reason: Reason) -> None:
    site = Site(1, "a.example", frozenset(), monthly_quota=0, rate_limit=0)
    site = replace(site, **changes)  # type: ignore[arg-type]  # chosen by the case

    assert check(Gate(), site) is reason
    assert admit(Gate(), site, 1) == Refusal(reason)


def test_a_drop_for_another_reason_takes_no_place_in_the_window() -> None:
    gate = Gate()
    site = replace(SITE, rate_limit=1, monthly_quota=0)
    for _ in range(3):
        check(gate, site)

    assert check(gate, replace(site, monthly_quota=None)) is None


def test_a_batch_without_room_waits_for_the_next_window_and_counts_nothing() -> None:
    site, gate = replace(SITE, rate_limit=10), Gate()
    assert admit(gate, site, 8) is None

    assert admit(gate, site, 3) == Refusal(Reason.THROTTLE, retry_after_s=47)
    assert admit(gate, site, 2) is None
    assert admit(gate, site, 3, NOW_MS + 47_000) is None


def test_a_batch_of_exactly_the_limit_fits_into_an_empty_window() -> None:
    site, gate = replace(SITE, rate_limit=10), Gate()

    assert admit(gate, site, 10) is None
    assert admit(gate, site, 1) == Refusal(Reason.THROTTLE, retry_after_s=47)


def test_a_batch_that_no_window_could_hold_is_cut() -> None:
    site, gate = replace(SITE, rate_limit=10), Gate()

    assert admit(gate, site, 11) == Cut(10, Reason.THROTTLE)
    assert admit(gate, site, 11) == Refusal(Reason.THROTTLE, retry_after_s=47)


def test_such_a_batch_gets_what_others_have_left() -> None:
    """It would wait for ever if it waited for a window of its own."""
    site, gate = replace(SITE, rate_limit=10), Gate()
    check(gate, site)

    assert admit(gate, site, 11) == Cut(9, Reason.THROTTLE)


def test_web_events_and_batches_share_the_window() -> None:
    site, gate = replace(SITE, rate_limit=2), Gate()
    admit(gate, site, 2)

    assert check(gate, site) is Reason.THROTTLE


def test_a_batch_that_crosses_the_quota_is_cut_there() -> None:
    site, gate = replace(SITE, monthly_quota=10), Gate()
    assert admit(gate, site, 7) is None
    accept(gate, 7)

    assert admit(gate, site, 5) == Cut(3, Reason.QUOTA_EXCEEDED)
    accept(gate, 3)
    assert admit(gate, site, 5) == Refusal(Reason.QUOTA_EXCEEDED)


@pytest.mark.parametrize(
    "quota,limit,expected",
    [
        (5, 8, Cut(5, Reason.QUOTA_EXCEEDED)),
        (8, 5, Cut(5, Reason.THROTTLE)),
        (20, 8, Cut(8, Reason.THROTTLE)),
        (5, 20, Cut(5, Reason.QUOTA_EXCEEDED)),
        (20, 20, None),
    ],
)
def test_the_nearer_of_two_limits_cuts(
    quota: int, limit: int, expected: Cut | None
) -> None:
    site = replace(SITE, monthly_quota=quota, rate_limit=limit)

    assert admit(Gate(), site, 10) == expected


def test_what_a_cut_leaves_out_takes_no_place_in_the_window() -> None:
    site, gate = replace(SITE, monthly_quota=4, rate_limit=10), Gate()
    admit(gate, site, 10)

    assert admit(gate, replace(site, monthly_quota=None), 6) is None


def test_a_batch_with_nothing_new_in_it_passes_any_gate() -> None:
    assert admit(Gate(), replace(SITE, rate_limit=0), 0) is None
