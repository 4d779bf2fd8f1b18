"""What every metric is called, what it means, and where its value comes from.

Labels come from closed lists, so the number of series is bounded. The page
``docs/reference/metrics.md`` is made from here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from headwater_ingest.telemetry.accounts import ROW_STATES
from headwater_ingest.telemetry.state import (
    FAILURE_KINDS,
    Blocked,
    Degraded,
    NodeState,
    Readiness,
)
from headwater_schema.outcomes import ClientLoss, ErrorCode, Outcome, Reason


@dataclass(frozen=True, slots=True)
class Definition:
    """What a metric is called and what it means.

    Attributes:
        name: `headwater_<noun>_<unit>`, with `_total` for a counter.
        kind: How Prometheus reads it.
        meaning: One sentence.
        labels: Each label with the values that it takes.
        buckets: Upper bounds, for a histogram.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: Mapping[str, Iterable[str]] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()


EVENTS = Definition(
    "headwater_events_total",
    "counter",
    "Events by what became of them, for requests that were understood.",
    {"outcome": Outcome, "reason": ["", *Reason]},
)
CLIENT_LOSSES = Definition(
    "headwater_client_losses_total",
    "counter",
    "Events that clients say they have lost; they were never received here.",
    {"reason": ClientLoss},
)
REFUSED_PROPERTIES = Definition(
    "headwater_properties_refused_total",
    "counter",
    "Properties that cannot be stored, left out of events that were.",
)
FUTURE_TIMES = Definition(
    "headwater_event_times_future_total",
    "counter",
    "Events of SDKs whose time lay in the future; they have that of their arrival.",
)
REFUSED = Definition(
    "headwater_requests_refused_total",
    "counter",
    "Requests that were refused whole; nothing of them was stored.",
    {"code": ErrorCode},
)
REQUEST_SECONDS = Definition(
    "headwater_request_duration_seconds",
    "histogram",
    "Time from the first byte of a batch to its answer, the disk included.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
REQUEST_BYTES = Definition(
    "headwater_request_body_bytes_total",
    "counter",
    "Bytes of the bodies of batches, as they came.",
)
COMMIT_SECONDS = Definition(
    "headwater_journal_commit_seconds",
    "histogram",
    "Time of one group commit of the journal, the fsync included.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
COMMIT_BATCHES = Definition(
    "headwater_journal_commit_batches",
    "histogram",
    "Batches that shared one group commit.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
)
LOOP_LAG = Definition(
    "headwater_event_loop_lag_seconds",
    "histogram",
    "How late the event loop was for something due, 20 times a second.",
    buckets=(0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.25, 0.5, 1),
)
PIPELINE_STEPS = (
    "drop_spam_referrer",
    "put_site",
    "drop_refused",
    "drop_verification_agent",
    "drop_data_centre_ip",
    "drop_threat_ip",
    "drop_shield_hostname",
    "drop_shield_page",
    "drop_shield_ip",
    "put_place",
    "drop_shield_country",
    "put_device",
    "put_attribution",
    "put_revenue",
    "put_user_id",
    "register_session",
)
STEP_SECONDS = Definition(
    "headwater_pipeline_step_seconds",
    "histogram",
    "Time of one step of a web event; one event in 64 is timed.",
    {"step": PIPELINE_STEPS},
    buckets=(1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 1e-2, 0.1),
)
TRUNCATED_PROPS = Definition(
    "headwater_props_truncated_total",
    "counter",
    "Properties of web events that were left out because there were too many.",
)
MISSING_RATES = Definition(
    "headwater_revenue_rates_missing_total",
    "counter",
    "Web events whose revenue could not be converted, for want of an exchange rate.",
)
TOLD = (
    EVENTS,
    CLIENT_LOSSES,
    STEP_SECONDS,
    TRUNCATED_PROPS,
    MISSING_RATES,
    REFUSED_PROPERTIES,
    FUTURE_TIMES,
    REFUSED,
    REQUEST_SECONDS,
    REQUEST_BYTES,
    COMMIT_SECONDS,
    COMMIT_BATCHES,
    LOOP_LAG,
)

CACHES = (
    "address",
    "attribution",
    "data_centre",
    "device",
    "page",
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

SITE_EVENTS = Definition(
    "headwater_site_events_total",
    "counter",
    "Events of a site by what became of them, since the journal was made. The site is "
    "its domain, its number if it is not known any more, 0 for domains that are none.",
    {"site": [], "outcome": Outcome, "reason": ["", *Reason]},
)
SITE_ROWS = Definition(
    "headwater_site_rows",
    "gauge",
    "Accepted events of a site by where their rows are; together all that were.",
    {"site": [], "state": ROW_STATES},
)
BUILD = Definition(
    "headwater_build_info",
    "gauge",
    "Always 1; the labels say what runs.",
    {"version": [], "python": []},
)


def reference_page() -> str:
    """Render ``docs/reference/metrics.md``."""
    read = [definition for definition, _ in READ]
    definitions = [*TOLD, *read, SITE_EVENTS, SITE_ROWS, BUILD]
    rows = "".join(
        f"| `{each.name}` | {each.kind} | {_labels(each)} | {each.meaning} |\n"
        for each in definitions
    )
    return _PAGE.format(rows=rows)


_PAGE = """\
# Metrics

`GET /metrics`, in the text form of Prometheus. Besides these there are the standard
`process_*` metrics of the HTTP process.

| metric | kind | labels | meaning |
| --- | --- | --- | --- |
{rows}"""


def _labels(definition: Definition) -> str:
    return "; ".join(
        ": ".join(filter(None, [f"`{label}`", _listed(values)]))
        for label, values in definition.labels.items()
    )


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values if value)
