import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from headwater_ingest.telemetry.accounts import Account
from headwater_ingest.telemetry.definitions import TOLD
from headwater_ingest.telemetry.metrics import Metrics
from headwater_ingest.telemetry.readings import READ
from headwater_ingest.telemetry.reference import reference_page
from headwater_ingest.telemetry.state import (
    Degraded,
    JournalState,
    NodeState,
    WriterState,
    judge_readiness,
)
from headwater_schema.outcomes import ErrorCode, Outcome, Reason

ROOT = Path(__file__).parents[4]
STATE = NodeState(
    draining=False,
    journal=JournalState(
        full=False,
        writable=True,
        rows_pending=7,
        bytes_pending=700,
        oldest_pending_seconds=90.5,
        window_events=1000,
        window_seconds=3600,
    ),
    writer=WriterState(up=True, rows_written=41, failures={"fatal": 2}),
    sites=3,
    sites_loaded=True,
    sites_problem=None,
    clickhouse_up=False,
    clickhouse_restarts=4,
    schema_ready=True,
)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1.2.3")


def samples(metrics: Metrics) -> dict[str, float]:
    """Return every sample by its name and labels, as Prometheus reads them."""
    found = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def test_events_are_counted_by_outcome_and_reason(metrics: Metrics) -> None:
    metrics.count_events(Outcome.ACCEPTED, 5)
    metrics.count_events(Outcome.ACCEPTED, 2)
    metrics.count_events(Outcome.DROPPED, 3, Reason.BOT)

    found = samples(metrics)

    assert found["headwater_events_total{outcome=accepted,reason=}"] == 7
    assert found["headwater_events_total{outcome=dropped,reason=bot}"] == 3


def test_every_outcome_has_a_series_before_anything_happens(metrics: Metrics) -> None:
    found = samples(metrics)

    for reason in Reason:
        series = f"headwater_events_total{{outcome={reason.outcome},reason={reason}}}"
        assert found[series] == 0
    for code in ErrorCode:
        assert found[f"headwater_requests_refused_total{{code={code}}}"] == 0


def test_requests_and_commits_are_timed(metrics: Metrics) -> None:
    metrics.count_refused(ErrorCode.UNKNOWN_KEY)
    metrics.observe_request(seconds=0.004, body_bytes=1900)
    metrics.observe_commit(0.002, 16)

    found = samples(metrics)

    assert found["headwater_requests_refused_total{code=unknown_key}"] == 1
    assert found["headwater_request_duration_seconds_bucket{le=0.005}"] == 1
    assert found["headwater_request_duration_seconds_bucket{le=0.0025}"] == 0
    assert found["headwater_request_body_bytes_total{}"] == 1900
    assert found["headwater_journal_commit_seconds_sum{}"] == 0.002
    assert found["headwater_journal_commit_batches_bucket{le=16.0}"] == 1


def test_the_snapshot_is_taken_when_it_is_asked_for(metrics: Metrics) -> None:
    readiness = judge_readiness(STATE, degraded_after_seconds=60)
    states = [(STATE, readiness)]
    metrics.read_from(lambda: states[-1])

    found = samples(metrics)

    assert found["headwater_journal_pending_rows{}"] == 7
    assert found["headwater_journal_oldest_pending_seconds{}"] == 90.5
    assert found["headwater_writer_rows_total{}"] == 41
    assert found["headwater_writer_failures_total{kind=fatal}"] == 2
    assert found["headwater_writer_failures_total{kind=transient}"] == 0
    assert found["headwater_clickhouse_up{}"] == 0
    assert found["headwater_clickhouse_restarts_total{}"] == 4
    assert found["headwater_sites{}"] == 3
    assert found["headwater_ready{}"] == 1
    assert found[f"headwater_degraded{{reason={Degraded.BACKLOG_OLD}}}"] == 1
    assert found[f"headwater_degraded{{reason={Degraded.WRITER_DOWN}}}"] == 0
    (build,) = (name for name in found if name.startswith("headwater_build_info"))
    assert "version=1.2.3" in build


def test_the_process_reports_on_itself(metrics: Metrics) -> None:
    assert samples(metrics)["process_open_fds{}"] > 0


def test_every_name_says_what_it_counts() -> None:
    for definition in [*TOLD, *(each for each, _ in READ)]:
        assert re.fullmatch("headwater_[a-z_]+", definition.name)
        assert definition.name.endswith("_total") == (definition.kind == "counter")


def test_the_reference_in_the_docs_is_current() -> None:
    assert (ROOT / "docs/reference/metrics.md").read_text() == reference_page(), (
        "write it anew: .venv/bin/python -c"
        " 'from headwater_ingest.telemetry.reference import *;"
        ' print(reference_page(), end="")\' > docs/reference/metrics.md'
    )


def test_accounts_are_told_by_site() -> None:
    metrics = Metrics("1.2.3")
    metrics.read_accounts_from(
        lambda: [
            Account("shop.example", "accepted", "", 5),
            Account("shop.example", "dropped", "bot", 2),
            Account("77", "written", "", 4),
        ]
    )

    text = metrics.render().decode()

    accepted = 'site="shop.example",outcome="accepted",reason=""'
    dropped = 'site="shop.example",outcome="dropped",reason="bot"'
    for labels, value in ((accepted, 5), (dropped, 2)):
        assert _has(text, f"headwater_site_events_total{{{labels}}}", value)
    assert _has(text, 'headwater_site_rows{site="77",state="written"}', 4)


def _has(text: str, series: str, value: float) -> bool:
    name, labels = series.rstrip("}").split("{")
    wanted = set(labels.split(","))
    return any(
        line.startswith(f"{name}{{")
        and set(line[len(name) + 1 :].split("}")[0].split(",")) == wanted
        and float(line.rsplit(" ", 1)[1]) == value
        for line in text.splitlines()
    )
