"""What is sent when, and what each verdict leads to: without threads or network."""

from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from headwater import (
    BatchRefusedError,
    ClosedError,
    EventRefusedError,
    EventTooLargeError,
    InvalidEventError,
    LossError,
    LossReason,
    QueueFullError,
    UnavailableError,
    UnconfirmedError,
    UndeliveredError,
)
from headwater._batch import FrozenBatch
from headwater._delivery import Delivery
from headwater._settings import Settings
from headwater._verdict import Foreign, Refused, Taken, TryAgain, Verdict
from headwater_schema.batch import EventResult
from headwater_schema.limits import MAX_EVENT_BYTES

TOO_LARGE = Refused(413, "too_large", "smaller parts", is_too_large=True)
WRONG_KEY = Refused(401, "unknown_key", "no such site", is_too_large=False)
AWAY = TryAgain("ConnectError: refused")
PORTAL = Foreign("200 '<html>'")
TAKEN = Taken({})


def delivery(*, chance: float = 0.0, **options: Any) -> Delivery:
    defaults = {
        "write_key": "key",
        "host": "http://localhost",
        "flush_at": 3,
        "flush_interval": 5.0,
        "max_batch_events": 4,
        "max_batch_bytes": 1024 * 1024,
        "max_queue_size": 10,
        "max_queue_bytes": 16 * 1024 * 1024,
        "timeout": 1.0,
        "max_retries": 1,
        "exit_timeout": 1.0,
    }
    ids = count(1)
    return Delivery(
        Settings(**{**defaults, **options}),
        new_batch_id=lambda: f"batch {next(ids)}",
        random=lambda: chance,
    )


def event(number: int, size: int = 0) -> bytes:
    return msgspec.json.encode({"event_id": f"id {number}", "x": "x" * size})


def filled(size: int, now: float = 0.0, **options: Any) -> Delivery:
    state = delivery(**options)
    for number in range(size):
        assert state.take(event(number), now) is None
    return state


def test_nothing_is_due_while_there_is_nothing() -> None:
    assert delivery().backlog.wait_s(0) is None


def test_few_events_wait_for_the_interval() -> None:
    state = filled(2, now=10)
    assert state.backlog.wait_s(10) == 5
    assert state.backlog.wait_s(12) == 3
    assert state.backlog.wait_s(99) == 0


def test_enough_events_are_due_at_once() -> None:
    assert filled(3).backlog.wait_s(0) == 0


def test_trigger_is_never_more_than_a_batch_or_the_queue_holds() -> None:
    assert filled(4, flush_at=99).backlog.wait_s(0) == 0
    assert filled(2, flush_at=99, max_queue_size=2).backlog.wait_s(0) == 0


def test_enough_bytes_are_due_at_once() -> None:
    state = delivery(max_batch_bytes=1024)
    state.take(event(1, size=1024), 0)
    assert state.backlog.wait_s(0) == 0


def test_news_are_the_first_event_and_the_one_that_makes_a_batch_due() -> None:
    state = delivery()
    news = []
    for number in range(5):
        pending = state.backlog.queue.pending
        state.take(event(number), 0)
        news.append(state.backlog.has_news_since(pending, 1))
    assert news == [True, False, True, False, False]


def test_event_that_fills_a_batch_by_its_bytes_is_news() -> None:
    state = delivery(max_batch_bytes=1024)
    news = []
    for _ in range(4):
        pending = state.backlog.queue.pending
        large = event(1, size=500)
        state.take(large, 0)
        news.append(state.backlog.has_news_since(pending, len(large)))
    assert news[:2] == [True, True]
    assert state.backlog.wait_s(0) == 0


def test_pause_between_rounds_is_bounded_whatever_the_interval() -> None:
    state = filled(3, max_retries=0, flush_interval=10**9)
    state.conclude(state.backlog.next_batch(), AWAY, 0)
    assert state.backlog.wait_s(0) == 60


def test_backlog_goes_in_batches_of_at_most_the_cap() -> None:
    state = filled(9)
    sizes = []
    while state.queued:
        batch = state.backlog.next_batch()
        sizes.append(len(batch.events))
        state.conclude(batch, TAKEN, 0)
    assert sizes == [4, 4, 1]
    assert state.stats.delivered == 9


def test_whoever_waits_makes_everything_due() -> None:
    state = filled(1)
    ticket = state.open_ticket()
    assert state.backlog.wait_s(0) == 0
    state.close_ticket(ticket)
    assert state.backlog.wait_s(0) == 5


def test_closing_makes_everything_due_and_takes_no_more() -> None:
    state = filled(1)
    state.close()
    assert state.backlog.wait_s(0) == 0
    report = state.take(event(1), 0)
    assert report is not None
    assert isinstance(report.error, ClosedError)
    assert report.events == (event(1),)
    assert state.stats.lost == {LossReason.CLOSED: 1}


def test_failed_batch_stays_at_the_front_with_id_and_events() -> None:
    state = filled(6)
    batch = state.backlog.next_batch()
    state.conclude(batch, AWAY, 0)
    state.take(event(6), 0)
    assert state.backlog.next_batch() is batch
    state.conclude(batch, TAKEN, 0)
    assert state.backlog.next_batch().events == tuple(map(event, (4, 5, 6)))


def test_failed_batch_waits_for_the_backoff_whatever_is_captured_meanwhile() -> None:
    state = filled(3, chance=1)
    state.conclude(state.backlog.next_batch(), AWAY, 100)
    for number in range(3, 9):
        state.take(event(number), 100)
    assert state.backlog.wait_s(100) == 0.5


def test_round_that_fails_is_reported_and_the_next_waits_for_an_interval() -> None:
    state = filled(3)
    batch = state.backlog.next_batch()
    assert state.conclude(batch, AWAY, 0) == []
    [report] = state.conclude(batch, AWAY, 0)
    assert isinstance(report.error, UnavailableError)
    assert not isinstance(report.error, LossError)
    assert "ConnectError: refused" in str(report.error)
    assert report.events == batch.events
    assert state.backlog.is_failing
    assert state.failed_rounds == 1
    assert state.backlog.wait_s(0) == 5
    assert state.queued == 3
    assert state.stats.lost == {}


def test_success_ends_the_outage() -> None:
    state = filled(6, max_retries=0)
    batch = state.backlog.next_batch()
    state.conclude(batch, AWAY, 0)
    state.conclude(batch, TAKEN, 5)
    assert not state.backlog.is_failing
    assert state.backlog.wait_s(5) == 0


def test_flush_begins_a_new_round_at_once() -> None:
    state = filled(3, max_retries=0)
    state.conclude(state.backlog.next_batch(), AWAY, 0)
    assert state.backlog.wait_s(0) == 5
    state.open_ticket()
    assert state.backlog.wait_s(0) == 0


def test_server_that_asks_to_wait_is_not_hurried() -> None:
    state = filled(3, max_retries=0)
    state.conclude(state.backlog.next_batch(), TryAgain("429", 30), 0)
    state.open_ticket()
    state.close()
    assert state.backlog.wait_s(0) == 30


def test_events_refused_one_by_one_are_reported_with_the_reasons_of_the_server() -> (
    None
):
    state = filled(4)
    throttled = EventResult("dropped", "throttle")
    results = {
        "id 0": throttled,
        "id 1": EventResult("invalid", "blocked_id", "it is 'null'"),
        "#3": throttled,
        "id 99": throttled,
    }
    ticket = state.open_ticket()
    reports = state.conclude(state.backlog.next_batch(), Taken(results), 0)
    errors = [report.error for report in reports]
    assert all(isinstance(error, EventRefusedError) for error in errors)
    assert [str(error) for error in errors] == [
        "the server refused an event as dropped: throttle",
        "the server refused an event as invalid: blocked_id, it is 'null'",
    ]
    assert [list(report.events) for report in reports] == [
        [event(0), event(3)],
        [event(1)],
    ]
    assert (ticket.delivered, ticket.lost) == (1, 3)
    assert state.stats.lost == {LossReason.EVENT_REFUSED: 3}
    assert state.stats.delivered == 1


def test_results_that_are_no_refusals_cost_nothing() -> None:
    state = filled(2)
    results = {
        "id 0": EventResult("duplicate", ""),
        "id 1": EventResult("accepted", ""),
    }
    assert state.conclude(state.backlog.next_batch(), Taken(results), 0) == []
    assert state.stats.delivered == 2


def test_id_that_a_batch_repeats_stands_for_its_first_event() -> None:
    state = delivery()
    for _ in range(2):
        state.take(event(7), 0)
    batch = state.backlog.next_batch()
    result = EventResult("dropped", "throttle")
    state.conclude(batch, Taken({"id 7": result}), 0)
    assert state.stats.delivered == 1


def test_refused_batch_is_given_up_and_the_next_goes_on() -> None:
    state = filled(5)
    batch = state.backlog.next_batch()
    [report] = state.conclude(batch, WRONG_KEY, 0)
    assert isinstance(report.error, BatchRefusedError)
    assert (report.error.status, report.error.code) == (401, "unknown_key")
    assert report.error.message == "no such site"
    assert str(report.error).endswith("401 unknown_key: no such site")
    assert report.events == batch.events
    assert state.stats.lost == {LossReason.BATCH_REFUSED: 4}
    assert state.backlog.next_batch().events == (event(4),)


def test_batch_that_goes_nowhere_is_refused_with_its_url() -> None:
    state = filled(1)
    verdict = Refused(404, "", "Not Found", is_too_large=False)
    [report] = state.conclude(state.backlog.next_batch(), verdict, 0)
    assert isinstance(report.error, BatchRefusedError)
    assert "404 Not Found - at http" in str(report.error)
    assert "/ingest-events: host must be the base URL" in str(report.error)


def test_too_large_batch_is_halved_under_new_ids_until_it_fits() -> None:
    state = filled(4)
    whole = state.backlog.next_batch()
    assert state.conclude(whole, TOO_LARGE, 0) == []
    assert state.backlog.wait_s(0) == 0
    half = state.backlog.next_batch()
    assert half.events == (event(0), event(1))
    state.conclude(half, TAKEN, 0)
    other = state.backlog.next_batch()
    assert other.events == (event(2), event(3))
    assert len({whole.batch_id, half.batch_id, other.batch_id}) == 3


def test_single_event_that_is_too_large_is_given_up() -> None:
    state = filled(1)
    [report] = state.conclude(state.backlog.next_batch(), TOO_LARGE, 0)
    assert isinstance(report.error, BatchRefusedError)
    assert report.error.status == 413
    assert state.queued == 0


def test_stranger_that_answers_gets_one_round_and_the_next_batch_goes_on() -> None:
    state = filled(5)
    batch = state.backlog.next_batch()
    assert state.conclude(batch, PORTAL, 0) == []
    assert state.backlog.next_batch() is batch
    [report] = state.conclude(batch, PORTAL, 0)
    assert isinstance(report.error, UnconfirmedError)
    assert "is the host right" in str(report.error)
    assert state.stats.lost == {LossReason.UNCONFIRMED: 4}
    assert state.backlog.next_batch().events == (event(4),)


def test_stranger_that_answers_does_not_end_an_outage() -> None:
    state = filled(5, max_retries=0)
    batch = state.backlog.next_batch()
    state.conclude(batch, AWAY, 0)
    state.conclude(batch, PORTAL, 5)
    assert state.backlog.is_failing
    state.conclude(state.backlog.next_batch(), WRONG_KEY, 10)
    assert not state.backlog.is_failing


def test_overflow_drops_the_oldest_and_reports_it() -> None:
    state = filled(10)
    report = state.take(event(10), 0)
    assert report is not None
    assert isinstance(report.error, QueueFullError)
    assert report.events == [event(0)]
    assert state.queued == 10
    assert state.stats.lost == {LossReason.QUEUE_FULL: 1}


def test_event_over_the_limit_is_not_queued() -> None:
    state = delivery()
    large = b"x" * (MAX_EVENT_BYTES + 1)
    report = state.take(large, 0)
    assert report is not None
    assert isinstance(report.error, EventTooLargeError)
    assert state.queued == 0
    assert state.take(large[1:], 0) is None


def test_event_that_cannot_be_encoded_is_counted() -> None:
    state = delivery()
    state.refuse(InvalidEventError("event has 0 characters"))
    assert state.stats.captured == 1
    assert state.stats.lost == {LossReason.INVALID_EVENT: 1}


def test_refused_properties_are_counted_and_cost_no_event() -> None:
    state = delivery()
    state.count_refused_properties(2)
    assert state.stats.refused_properties == 2


def test_what_is_abandoned_is_reported_once() -> None:
    state = filled(5)
    batch = state.backlog.next_batch()
    report = state.abandon()
    assert report is not None
    assert isinstance(report.error, UndeliveredError)
    assert list(report.events) == [event(number) for number in range(5)]
    assert state.abandon() is None
    assert state.conclude(batch, TAKEN, 0) == []
    assert state.stats.lost == {LossReason.UNDELIVERED: 5}
    assert state.stats.delivered == 0


def test_what_is_abandoned_is_reported_with_host_and_cause() -> None:
    state = filled(2)
    state.conclude(state.backlog.next_batch(), AWAY, 0)
    report = state.abandon()
    assert report is not None
    assert str(report.error) == (
        "events not known to be delivered to http://localhost at shutdown: 2; the last "
        "attempt failed: ConnectError: refused"
    )


def test_a_failure_that_has_passed_is_not_the_cause() -> None:
    state = filled(5)
    state.conclude(state.backlog.next_batch(), AWAY, 0)
    state.conclude(state.backlog.next_batch(), TAKEN, 9)
    report = state.abandon()
    assert report is not None
    assert "at shutdown: 1; allow more time, by exit_timeout" in str(report.error)


def test_losses_are_printed_by_plain_names() -> None:
    state = filled(2)
    state.abandon()
    assert repr(state.stats.lost) == "{'undelivered': 2}"


@pytest.mark.parametrize("verdict", [AWAY, PORTAL, WRONG_KEY, TOO_LARGE])
def test_late_answer_to_an_abandoned_batch_changes_nothing(verdict: Verdict) -> None:
    state = filled(2)
    batch = state.backlog.next_batch()
    state.abandon()
    before = state.stats
    assert state.conclude(batch, verdict, 0) == []
    assert state.stats == before


class DeliveryMachine(RuleBasedStateMachine):
    """Whatever the server answers, every event is accounted for, once and in order."""

    def __init__(self) -> None:
        super().__init__()
        self.state = delivery(chance=0.5)
        self.now = 0.0
        self.numbers = count()
        self.attempted: dict[str, tuple[bytes, ...]] = {}
        self.delivered: list[bytes] = []
        self.reported: list[bytes] = []

    @rule(events=st.integers(1, 6))
    def capture(self, events: int) -> None:
        for _ in range(events):
            report = self.state.take(event(next(self.numbers)), self.now)
            if report is not None:
                self.reported.extend(report.events)

    @rule(seconds=st.floats(0, 10))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.state.backlog.wait_s(self.now) == 0)
    @rule(verdict=st.sampled_from([TAKEN, TAKEN, AWAY, PORTAL, WRONG_KEY, TOO_LARGE]))
    def attempt(self, verdict: Verdict) -> None:
        batch = self.state.backlog.next_batch()
        assert self.attempted.setdefault(batch.batch_id, batch.events) == batch.events
        self.conclude(batch, verdict)
        if verdict is TAKEN:
            self.delivered.extend(batch.events)

    @precondition(lambda self: self.state.backlog.wait_s(self.now) == 0)
    @rule()
    def attempt_with_a_refused_event(self) -> None:
        batch = self.state.backlog.next_batch()
        result = EventResult("dropped", "throttle")
        self.conclude(batch, Taken({"#0": result}))
        self.delivered.extend(batch.events[1:])

    @rule()
    def flush(self) -> None:
        self.state.close_ticket(self.state.open_ticket())

    def conclude(self, batch: FrozenBatch, verdict: Verdict) -> None:
        for report in self.state.conclude(batch, verdict, self.now):
            if isinstance(report.error, LossError):
                self.reported.extend(report.events)

    @invariant()
    def accounts_close(self) -> None:
        stats = self.state.stats
        assert stats.captured == (
            stats.delivered + stats.queued + sum(stats.lost.values())
        )
        assert stats.delivered == len(self.delivered)
        assert sum(stats.lost.values()) == len(self.reported)

    @invariant()
    def nothing_is_settled_twice(self) -> None:
        settled = self.delivered + self.reported
        assert len(settled) == len(set(settled))

    @invariant()
    def order_is_kept(self) -> None:
        numbers = [int(each.split(b'"')[3][3:]) for each in self.delivered]
        assert numbers == sorted(numbers)

    @invariant()
    def queue_is_bounded(self) -> None:
        assert self.state.queued <= 10


DeliveryMachine.TestCase.settings = settings(max_examples=60, deadline=None)
TestDeliveryMachine = pytest.mark.timeout(60)(DeliveryMachine.TestCase)
