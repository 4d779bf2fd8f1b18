"""The metrics that are read from the state of the node, and where each is in it."""

from collections.abc import Callable, Iterable, Mapping

from headwater_ingest.telemetry.definition import Definition
from headwater_ingest.telemetry.state import (
    FAILURE_KINDS,
    Blocked,
    Degraded,
    NodeState,
    Readiness,
)

CACHES = (
    "address",
    "attribution",
    "data_centre",
    "device",
    "place",
    "root_domain",
    "spam",
)

# One number, or one for each value of the metric's only label.
Reading = float | Mapping[str, float]
_Read = Callable[[NodeState, Readiness], Reading]


def _gauge(
    name: str,
    meaning: str,
    read: _Read,
    labels: Mapping[str, Iterable[str]] | None = None,
) -> tuple[Definition, _Read]:
    return Definition(name, "gauge", meaning, labels or {}), read


def _counter(
    name: str,
    meaning: str,
    read: _Read,
    labels: Mapping[str, Iterable[str]] | None = None,
) -> tuple[Definition, _Read]:
    return Definition(name, "counter", meaning, labels or {}), read


# What is read from the snapshot.
READ: tuple[tuple[Definition, _Read], ...] = (
    _gauge(
        "headwater_ready",
        "1 while the node may get traffic.",
        lambda _, readiness: readiness.is_ready,
    ),
    _gauge(
        "headwater_blocked",
        "1 for each reason why the node must not get traffic.",
        lambda _, readiness: {each: each in readiness.blocked for each in Blocked},
        {"reason": Blocked},
    ),
    _gauge(
        "headwater_degraded",
        "1 for each thing that is wrong on a node that still takes events.",
        lambda _, readiness: {each: each in readiness.degraded for each in Degraded},
        {"reason": Degraded},
    ),
    _gauge(
        "headwater_journal_pending_rows",
        "Rows on disk here that are not in ClickHouse yet.",
        lambda node, _: node.journal.rows_pending,
    ),
    _gauge(
        "headwater_journal_pending_bytes",
        "Bytes that these rows take.",
        lambda node, _: node.journal.bytes_pending,
    ),
    _gauge(
        "headwater_journal_oldest_pending_seconds",
        "Age of the oldest of these rows.",
        lambda node, _: node.journal.oldest_pending_seconds,
    ),
    _gauge(
        "headwater_window_events",
        "Event ids that are remembered, so that a repeat is a duplicate.",
        lambda node, _: node.journal.window_events,
    ),
    _gauge(
        "headwater_window_seconds",
        "How far back ids are remembered.",
        lambda node, _: node.journal.window_seconds,
    ),
    _counter(
        "headwater_writer_rows_total",
        "Rows written to ClickHouse.",
        lambda node, _: node.writer.rows_written,
    ),
    _counter(
        "headwater_writer_dead_letters_total",
        "Rows that ClickHouse refused and that were set aside.",
        lambda node, _: node.writer.rows_dead,
    ),
    _gauge(
        "headwater_writer_held",
        "1 while the block in hand is not taken, by the kind of the failure.",
        lambda node, _: {each: node.writer.held_by == each for each in FAILURE_KINDS},
        {"kind": FAILURE_KINDS},
    ),
    _counter(
        "headwater_writer_blocks_total",
        "Blocks gone from the journal; one INSERT each, if nothing is refused.",
        lambda node, _: node.writer.blocks_written,
    ),
    _counter(
        "headwater_writer_insert_seconds_total",
        "Time spent in INSERTs.",
        lambda node, _: node.writer.insert_seconds,
    ),
    _counter(
        "headwater_writer_failures_total",
        "INSERTs that failed; each is tried again.",
        lambda node, _: {
            each: node.writer.failures.get(each, 0) for each in FAILURE_KINDS
        },
        {"kind": FAILURE_KINDS},
    ),
    _gauge(
        "headwater_writer_up",
        "1 while the writer's process runs.",
        lambda node, _: node.writer.up,
    ),
    _counter(
        "headwater_writer_restarts_total",
        "Starts of the writer's process after the first.",
        lambda node, _: node.writer.restarts,
    ),
    _gauge(
        "headwater_workers_up",
        "Workers that take events; 0 if the service has none and takes them itself.",
        lambda node, _: node.workers.up,
    ),
    _counter(
        "headwater_worker_restarts_total",
        "Starts of workers after the first of each.",
        lambda node, _: node.workers.restarts,
    ),
    _gauge(
        "headwater_clickhouse_up",
        "1 while ClickHouse answers.",
        lambda node, _: node.clickhouse_up,
    ),
    _counter(
        "headwater_clickhouse_restarts_total",
        "Restarts of the embedded ClickHouse.",
        lambda node, _: node.clickhouse_restarts,
    ),
    _gauge(
        "headwater_sessions_open",
        "Sessions of web visitors in memory: those of the last half hour to hour.",
        lambda node, _: node.web.sessions_open,
    ),
    _counter(
        "headwater_sessions_evicted_total",
        "Sessions that were forgotten before their time, for lack of room.",
        lambda node, _: node.web.sessions_evicted,
    ),
    _counter(
        "headwater_sessions_local_events_total",
        "Web events whose session was this node's own because Redis did not answer.",
        lambda node, _: node.web.events_local,
    ),
    _counter(
        "headwater_cache_hits_total",
        "Look-ups of enrichment that a cache answered.",
        lambda node, _: {each: node.web.cache_hits.get(each, 0) for each in CACHES},
        {"cache": CACHES},
    ),
    _counter(
        "headwater_cache_misses_total",
        "Look-ups of enrichment that no cache answered.",
        lambda node, _: {each: node.web.cache_misses.get(each, 0) for each in CACHES},
        {"cache": CACHES},
    ),
    _gauge(
        "headwater_sites",
        "Sites in force.",
        lambda node, _: node.sites,
    ),
)
