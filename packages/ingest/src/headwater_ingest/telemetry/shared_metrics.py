"""Metrics that several processes of a service have in common: each adds to its own.

What a worker counts is in a file that it has mapped, so that nothing of it is lost when
the worker dies. The next worker of the same number goes on with the file.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, values
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

_DIRECTORY: Final = "worker-metrics"
_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"


def make_directory(data_dir: Path) -> Path:
    """Return a directory for the metrics of workers, with nothing in it."""
    directory = data_dir / _DIRECTORY
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    return directory


def keep_metrics_in(directory: str, number: int) -> None:
    """Have this process keep the metrics that it makes from now on in files.

    Args:
        directory: Where.
        number: Which no other process that runs has.
    """
    os.environ[_VARIABLE] = directory  # the library asks for it there
    values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]


class SummedRegistry(CollectorRegistry):
    """A registry whose counters and histograms have those of other processes added."""

    def __init__(self, own: CollectorRegistry, directory: Path) -> None:
        """Begin to add.

        Args:
            own: The metrics of this process, those of all others among them.
            directory: Where the others keep theirs.
        """
        super().__init__()
        self._own = own
        self._others = MultiProcessCollector(None, path=str(directory))  # type: ignore[no-untyped-call]

    def register(self, collector: Collector) -> None:
        """Register with those of this process."""
        self._own.register(collector)

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics."""
        found = self._others.collect()  # type: ignore[no-untyped-call]
        others = {each.name: each for each in found}
        for metric in self._own.collect():
            other = others.get(metric.name)
            yield _add(metric, other) if other else metric


def _add(metric: Metric, other: Metric) -> Metric:
    added = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for sample in other.samples
    }
    metric.samples = [
        sample._replace(
            value=sample.value
            + added.get((sample.name, tuple(sorted(sample.labels.items()))), 0.0)
        )
        for sample in metric.samples
    ]
    return metric
