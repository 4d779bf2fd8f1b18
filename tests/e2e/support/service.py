"""The service as its operator sees it: a process, a directory, ports and pages."""

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.support.processes import (
    INGEST,
    Process,
    Processes,
    clean_environment,
    find_child,
    find_children,
)
from tests.e2e.support.waiting import wait_for

KEY = "hw_e2e_0123456789abcdef"
SITE = "e2e.example"

_SITES = f"""
[[site]]
domain = "{SITE}"
write_key = "{KEY}"
revenue_goals = {{ Purchase = "EUR" }}
"""

_START_S = 60.0  # a busy machine is slow to import

# Tests look for an end, not for comfort: blocks go out at once, a stop does not wait
# for a load balancer that is not there.
_QUICK = {
    "block_seconds": "0.1",
    "not_ready_seconds": "0",
    "log_format": "json",
}

# On a machine with more workers than cores; alone it takes three.
_START_S = 60.0


@dataclass(slots=True)
class Service:
    """One `headwater-ingest serve` on one data directory, startable again.

    Attributes:
        clickhouse_url: As the setting; `embedded` for one of its own.
        settings: Further settings, by their keys.
        command: How it is started.
        port: Where it listens; once started it stays there over restarts.
    """

    processes: Processes
    data_dir: Path
    clickhouse_url: str
    settings: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = (INGEST, "serve")
    port: int = 0
    process: Process | None = None
    sites: str = _SITES  # what the sites file says; without a word there is none

    def start(self) -> None:
        """Starts the service and returns when it takes events."""
        self.launch()
        self.wait_to_listen()
        wait_for(
            lambda: self.ready_status() == 200,
            what="the service to be ready",
            timeout_s=_START_S,
        )

    def wait_to_listen(self) -> None:
        """Returns when it answers requests, whatever it says to them."""
        wait_for(self._has_started, what="the service to listen", timeout_s=_START_S)

    def launch(self) -> Process:
        """Starts the process and returns at once."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if self.sites:
            (self.data_dir / "sites.toml").write_text(self.sites, "utf-8")
        self.process = self.processes.start(
            self.command, name=self.name, environment=self.environment()
        )
        return self.process

    @property
    def name(self) -> str:
        """The name of its log."""
        return "service"

    def environment(self) -> dict[str, str]:
        """Returns the environment that the service is started with."""
        return clean_environment(
            {
                **_QUICK,
                "data_dir": str(self.data_dir),
                "port": str(self.port),
                "clickhouse_url": self.clickhouse_url,
                **self.settings,
            }
        )

    def stop(self) -> int:
        """Asks it to end, in good order, and returns the exit code."""
        self.running.terminate()
        return self.running.wait()

    def kill(self) -> None:
        """Ends the process with SIGKILL; its children end by themselves."""
        self.running.kill()

    def kill_writer(self) -> None:
        """Ends the process that writes to ClickHouse, with SIGKILL."""
        os.kill(find_child(self.running.pid, "headwater_ingest.writer"), signal.SIGKILL)

    def worker_pids(self) -> list[int]:
        """Returns the processes that take events for it."""
        return find_children(self.running.pid, "headwater_ingest.worker ")

    def kill_embedded_clickhouse(self) -> None:
        """Ends the ClickHouse that it runs, with SIGKILL."""
        os.kill(find_child(self.running.pid, "clickhouse/embedded"), signal.SIGKILL)

    @property
    def running(self) -> Process:
        assert self.process, "the service has not been started"
        return self.process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(
        self,
        body: object,
        *,
        headers: Mapping[str, str] | None = None,
        path: str = "/ingest-events",
    ) -> httpx.Response:
        """Posts bytes as they are, and anything else as JSON, with the write key."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return httpx.post(
            self.url + path,
            content=content,
            headers={"X-Headwater-Key": KEY, **(headers or {})},
            timeout=30,
        )

    def ready_status(self) -> int:
        """Returns the status of `/readyz`, or 0 while nobody answers."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code
        except httpx.TransportError:
            return 0

    def readiness(self) -> dict[str, Any]:
        """Returns what `/readyz` says."""
        answer: dict[str, Any] = httpx.get(f"{self.url}/readyz", timeout=5).json()
        return answer

    def metric(self, name: str, **labels: str) -> float:
        """Returns a value from `/metrics`; several series are added up."""
        text = httpx.get(f"{self.url}/metrics", timeout=5).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def wait_until_written(self, *, timeout_s: float = 40.0) -> None:
        """Returns when ClickHouse has all rows, and the journal knows it."""
        wait_for(
            lambda: (
                self.readiness()["status"] == "ready"
                and self.metric("headwater_journal_pending_rows") == 0
            ),
            what="an empty journal",
            timeout_s=timeout_s,
        )

    @property
    def accepted(self) -> int:
        return int(self.metric("headwater_events_total", outcome="accepted"))

    @property
    def duplicates(self) -> int:
        return int(self.metric("headwater_events_total", outcome="duplicate"))

    @property
    def posts(self) -> int:
        """How many batches it has answered with 200."""
        return int(self.metric("headwater_request_duration_seconds_count"))

    def _has_started(self) -> bool:
        assert self.running.poll() is None, f"it has ended:\n{self.running.log}"
        path = self.data_dir / "service.json"
        if not path.exists():
            return False
        told = msgspec.json.decode(path.read_bytes())
        self.port = told["port"]
        return bool(told["pid"] == self.running.pid)
