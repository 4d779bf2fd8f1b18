"""What workers count is added to what the service counts, and outlives them."""

import subprocess
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from headwater_ingest.telemetry.metrics import Metrics
from headwater_ingest.telemetry.shared_metrics import make_directory
from headwater_schema.outcomes import Outcome

WORKER = """
import os, signal, sys
from headwater_ingest.telemetry.metrics import Metrics
from headwater_ingest.telemetry.shared_metrics import keep_metrics_in
keep_metrics_in(sys.argv[1], int(sys.argv[2]))
metrics = Metrics("1")
metrics.count_events("accepted", 5)
metrics.observe_loop_lag(0.003)
metrics.observe_request(seconds=2, body_bytes=7)
os.kill(os.getpid(), signal.SIGKILL)
"""


def work(directory: Path, number: int) -> None:
    """Lets a worker count something and be killed."""
    subprocess.run(
        [sys.executable, "-c", WORKER, str(directory), str(number)], check=False
    )


def read(metrics: Metrics) -> dict[str, float]:
    return {
        ",".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def test_counts_of_workers_that_were_killed_stay(tmp_path: Path) -> None:
    directory = make_directory(tmp_path)
    for number in (0, 1, 0):
        work(directory, number)
    metrics = Metrics("1")
    metrics.add_those_in(directory)
    metrics.count_events(Outcome.ACCEPTED, 1)
    metrics.observe_loop_lag(0.5)

    found = read(metrics)

    assert found["headwater_events_total,accepted,"] == 16
    assert found["headwater_request_body_bytes_total"] == 21
    assert found["headwater_request_duration_seconds_sum"] == 6
    assert found["headwater_request_duration_seconds_count"] == 3
    assert found["headwater_event_loop_lag_seconds_bucket,0.002"] == 0
    assert found["headwater_event_loop_lag_seconds_bucket,0.004"] == 3
    assert found["headwater_event_loop_lag_seconds_bucket,+Inf"] == 4


def test_a_service_does_not_go_on_with_the_counts_of_another(tmp_path: Path) -> None:
    work(make_directory(tmp_path), 0)
    metrics = Metrics("1")

    metrics.add_those_in(make_directory(tmp_path))

    assert read(metrics)["headwater_events_total,accepted,"] == 0
