"""Counts and times what happens, and renders it for Prometheus.

Counters and histograms are told what happened, once per batch and never per event. The
rest is read from one snapshot of the node when it is asked for.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from platform import python_version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from headwater_ingest.telemetry import definitions
from headwater_ingest.telemetry.accounts import ROW_STATES, Account
from headwater_ingest.telemetry.definition import Definition
from headwater_ingest.telemetry.readings import READ
from headwater_ingest.telemetry.shared_metrics import SummedRegistry
from headwater_ingest.telemetry.state import NodeState, Readiness
from headwater_schema.outcomes import ClientLoss, ErrorCode, Outcome, Reason

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_Family = CounterMetricFamily | GaugeMetricFamily


class Metrics:
    """The metrics of one service. Safe to use from any thread."""

    def __init__(self, version: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types
        self._version = version
        self._registry: CollectorRegistry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        events = self._counter(definitions.EVENTS)
        self._events: dict[tuple[str, str | None], Counter] = {
            (outcome, reason): events.labels(outcome, reason or "")
            for outcome, reason in _outcomes()
        }
        losses = self._counter(definitions.CLIENT_LOSSES)
        self._client_losses = {each.value: losses.labels(each) for each in ClientLoss}
        steps = self._histogram(definitions.STEP_SECONDS)
        self._steps = {each: steps.labels(each) for each in definitions.PIPELINE_STEPS}
        self._truncated_props = self._counter(definitions.TRUNCATED_PROPS)
        self._missing_rates = self._counter(definitions.MISSING_RATES)
        self._refused_properties = self._counter(definitions.REFUSED_PROPERTIES)
        self._future_times = self._counter(definitions.FUTURE_TIMES)
        refused = self._counter(definitions.REFUSED)
        self._refused = {code: refused.labels(code) for code in ErrorCode}
        self._request_seconds = self._histogram(definitions.REQUEST_SECONDS)
        self._request_bytes = self._counter(definitions.REQUEST_BYTES)
        self._commit_seconds = self._histogram(definitions.COMMIT_SECONDS)
        self._commit_batches = self._histogram(definitions.COMMIT_BATCHES)
        self._loop_lag = self._histogram(definitions.LOOP_LAG)

    def count_events(self, outcome: str, count: int, reason: str | None = None) -> None:
        """Count events of a batch by what became of them.

        Args:
            outcome: A member of `Outcome`, or its text as an answer carries it.
            count: How many.
            reason: A member of `Reason`, or its text; None where nothing is wrong.
        """
        self._events[outcome, reason].inc(count)

    def count_client_losses(self, reason: str, count: int) -> None:
        """Count events that a client says it has lost.

        Args:
            reason: A member of `ClientLoss`, or its text.
            count: How many.
        """
        self._client_losses[reason].inc(count)

    def observe_step(self, step: str, seconds: float) -> None:
        """Note how long one of `PIPELINE_STEPS` took."""
        self._steps[step].observe(seconds)

    def count_truncated_props(self, count: int) -> None:
        """Count properties of a web event that were too many."""
        self._truncated_props.inc(count)

    def count_missing_rates(self, count: int) -> None:
        """Count web events whose revenue could not be converted."""
        self._missing_rates.inc(count)

    def count_refused_properties(self, count: int) -> None:
        """Count properties of a batch that were left out of its events."""
        self._refused_properties.inc(count)

    def count_future_times(self, count: int) -> None:
        """Count events of a batch whose time lay in the future."""
        self._future_times.inc(count)

    def count_refused(self, code: ErrorCode) -> None:
        """Count a request that was refused whole."""
        self._refused[code].inc()

    def observe_request(self, *, seconds: float, body_bytes: int) -> None:
        """Note how long a batch took and how large its body was."""
        self._request_seconds.observe(seconds)
        self._request_bytes.inc(body_bytes)

    def observe_commit(self, seconds: float, batches: int) -> None:
        """Note a group commit of the journal; made to be the journal's `on_commit`."""
        self._commit_seconds.observe(seconds)
        self._commit_batches.observe(batches)

    def observe_loop_lag(self, seconds: float) -> None:
        """Note how late the event loop came back to something that was due."""
        self._loop_lag.observe(seconds)

    def read_from(self, read: Callable[[], tuple[NodeState, Readiness]]) -> None:
        """Name the place where the snapshot is taken whenever metrics are asked for."""
        self._registry.register(_SnapshotCollector(read, self._version))

    def read_accounts_from(self, read: Callable[[], Iterable[Account]]) -> None:
        """Name the place where accounts are read whenever metrics are asked for."""
        self._registry.register(_AccountsCollector(read))

    def add_those_in(self, directory: Path) -> None:
        """Have what other processes count shown as if it had been counted here.

        Args:
            directory: Where they keep it; see `shared_metrics.py`.
        """
        self._registry = SummedRegistry(self._registry, directory)

    def render(self) -> bytes:
        """Return all metrics in the text form of Prometheus."""
        return generate_latest(self._registry)

    def _counter(self, definition: Definition) -> Counter:
        return Counter(
            definition.name,
            definition.meaning,
            tuple(definition.labels),
            registry=self._registry,
        )

    def _histogram(self, definition: Definition) -> Histogram:
        return Histogram(
            definition.name,
            definition.meaning,
            tuple(definition.labels),
            buckets=definition.buckets,
            registry=self._registry,
        )


class _SnapshotCollector(Collector):
    """Turns one snapshot of the node into metrics."""

    def __init__(
        self, read: Callable[[], tuple[NodeState, Readiness]], version: str
    ) -> None:
        self._read = read
        self._version = version

    def describe(self) -> Iterable[_Family]:
        """Return the families without values, so that registration reads nothing."""
        return [_family(definition) for definition, _ in READ]

    def collect(self) -> Iterator[_Family]:
        """Yield every family with the values of one snapshot."""
        node, readiness = self._read()
        for definition, read in READ:
            family, value = _family(definition), read(node, readiness)
            values = value if isinstance(value, Mapping) else {None: value}
            for label, number in values.items():
                family.add_metric([] if label is None else [label], number)
            yield family
        build = _family(definitions.BUILD)
        build.add_metric([self._version, python_version()], 1)
        yield build


class _AccountsCollector(Collector):
    """Turns the accounts of all sites into metrics."""

    def __init__(self, read: Callable[[], Iterable[Account]]) -> None:
        self._read = read

    def describe(self) -> Iterable[_Family]:
        """Return the families without values, so that registration reads nothing."""
        return [_family(definitions.SITE_EVENTS), _family(definitions.SITE_ROWS)]

    def collect(self) -> Iterable[_Family]:
        """Return both families with the accounts of one moment."""
        events, rows = self.describe()
        for site, account, reason, number in self._read():
            if account in ROW_STATES:
                rows.add_metric([site, account], number)
            else:
                events.add_metric([site, account, reason], number)
        return [events, rows]


def _outcomes() -> Iterator[tuple[Outcome, Reason | None]]:
    yield Outcome.ACCEPTED, None
    yield Outcome.DUPLICATE, None
    for reason in Reason:
        yield reason.outcome, reason


def _family(definition: Definition) -> _Family:
    kind = CounterMetricFamily if definition.kind == "counter" else GaugeMetricFamily
    return kind(definition.name, definition.meaning, labels=tuple(definition.labels))
