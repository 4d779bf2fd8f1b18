from dataclasses import replace

import pytest

from headwater_ingest.telemetry.state import (
    Blocked,
    Degraded,
    JournalState,
    NodeState,
    Readiness,
    WebState,
    WriterState,
    judge_readiness,
)

JOURNAL = JournalState(
    full=False,
    writable=True,
    rows_pending=0,
    bytes_pending=0,
    oldest_pending_seconds=0,
    window_events=0,
    window_seconds=0,
)
HEALTHY = NodeState(
    draining=False,
    journal=JOURNAL,
    writer=WriterState(up=True),
    sites=1,
    sites_loaded=True,
    sites_problem=None,
    clickhouse_up=True,
    clickhouse_restarts=0,
    schema_ready=True,
)


def judge(state: NodeState) -> Readiness:
    return judge_readiness(state, degraded_after_seconds=60)


def test_a_healthy_node_is_ready_and_not_degraded() -> None:
    assert judge(HEALTHY) == Readiness((), ())


@pytest.mark.parametrize(
    "state,reason",
    [
        (replace(HEALTHY, draining=True), Blocked.DRAINING),
        (replace(HEALTHY, journal=replace(JOURNAL, full=True)), Blocked.JOURNAL_FULL),
        (
            replace(HEALTHY, journal=replace(JOURNAL, writable=False)),
            Blocked.JOURNAL_UNWRITABLE,
        ),
        (replace(HEALTHY, sites_loaded=False), Blocked.NO_SITES),
    ],
)
def test_a_node_that_must_not_get_traffic_is_not_ready(
    state: NodeState, reason: Blocked
) -> None:
    readiness = judge(state)

    assert readiness.blocked == (reason,)
    assert not readiness.is_ready


@pytest.mark.parametrize(
    "state,reason",
    [
        (replace(HEALTHY, clickhouse_up=False), Degraded.CLICKHOUSE_AWAY),
        (replace(HEALTHY, schema_ready=False), Degraded.SCHEMA_PENDING),
        (replace(HEALTHY, sites_stale=True), Degraded.SITES_STALE),
        (replace(HEALTHY, salt_is_local=True), Degraded.LOCAL_SALT),
        (replace(HEALTHY, writer=WriterState(up=False)), Degraded.WRITER_DOWN),
        (
            replace(HEALTHY, writer=WriterState(up=True, held_by="rejected")),
            Degraded.BLOCK_REJECTED,
        ),
        (
            replace(HEALTHY, writer=WriterState(up=True, held_by="fatal")),
            Degraded.WRITES_REFUSED,
        ),
        (
            replace(HEALTHY, journal=replace(JOURNAL, oldest_pending_seconds=60)),
            Degraded.BACKLOG_OLD,
        ),
        (replace(HEALTHY, sites_problem="broken"), Degraded.SITES_FILE_BROKEN),
        (
            replace(HEALTHY, web=WebState(data_problems=("broken",))),
            Degraded.DATA_FILE_BROKEN,
        ),
        (
            replace(HEALTHY, web=WebState(sessions_local=True)),
            Degraded.LOCAL_SESSIONS,
        ),
    ],
)
def test_an_outage_behind_the_node_leaves_it_ready(
    state: NodeState, reason: Degraded
) -> None:
    readiness = judge(state)

    assert readiness.degraded == (reason,)
    assert readiness.is_ready


def test_a_backlog_that_is_young_is_no_matter() -> None:
    state = replace(HEALTHY, journal=replace(JOURNAL, oldest_pending_seconds=59.9))

    assert judge(state).degraded == ()
