import pytest

from headwater_ingest.writer.classify import Failure, FailureKind
from headwater_ingest.writer.progress import REPORT_EVERY_S, Progress
from headwater_ingest.writer.protocol import WriterStatus

FAILURE = Failure(FailureKind.TRANSIENT, "away")


class Reports:
    """A progress, its reports, and its clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.all: list[WriterStatus] = []
        self.progress = Progress(self.all.append, monotonic=lambda: self.now)


@pytest.fixture
def reports() -> Reports:
    reports = Reports()
    reports.progress.note_running()
    reports.all.clear()
    return reports


def test_the_first_state_is_reported_at_once() -> None:
    reports = Reports()

    reports.progress.note_running()

    assert reports.all == [WriterStatus(state="running")]


def test_counts_are_reported_a_few_times_per_second(reports: Reports) -> None:
    for _ in range(100):
        reports.now += REPORT_EVERY_S / 10
        reports.progress.note_insert(0.5)
        reports.progress.note_block(20)
        reports.progress.note_running()

    assert 9 <= len(reports.all) <= 10
    assert reports.progress.status.rows_written == 2000
    assert reports.progress.status.blocks_written == 100
    assert reports.progress.status.insert_seconds == 50


def test_nothing_new_is_not_reported(reports: Reports) -> None:
    reports.now += 1000
    reports.progress.note_running()

    assert reports.all == []


def test_a_failure_and_its_end_are_reported_at_once(reports: Reports) -> None:
    reports.progress.note_failure(FAILURE)
    reports.progress.note_running()

    assert reports.all == [
        WriterStatus(state="retrying", failures=1, last_error=FAILURE),
        WriterStatus(state="running", failures=1),
    ]


def test_the_same_failure_again_is_a_mere_count(reports: Reports) -> None:
    for _ in range(5):
        reports.progress.note_failure(FAILURE)

    assert len(reports.all) == 1
    assert reports.progress.status.failures == 5


def test_the_end_tells_all_counts(reports: Reports) -> None:
    reports.progress.note_block(20)
    reports.progress.note_stopped()

    assert reports.all == [
        WriterStatus(state="stopped", rows_written=20, blocks_written=1)
    ]


def test_counts_of_several_processes_are_added() -> None:
    earlier = WriterStatus(
        state="stopped",
        rows_written=1,
        blocks_written=2,
        insert_seconds=3,
        failures=4,
        last_error=FAILURE,
    )
    later = WriterStatus(
        state="running",
        rows_written=10,
        blocks_written=20,
        insert_seconds=30,
        failures=40,
    )

    assert later.plus(earlier) == WriterStatus(
        state="running",
        rows_written=11,
        blocks_written=22,
        insert_seconds=33,
        failures=44,
    )
