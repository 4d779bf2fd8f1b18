"""The service of the demo: a child process with a data directory of its own."""

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from headwater_ingest.clickhouse.client import Client as ClickHouse
from headwater_ingest.clickhouse.client import connect
from headwater_ingest.clickhouse.embedded import find_running
from headwater_ingest.clickhouse.embedded.directory import EmbeddedDirectory
from headwater_ingest.service_file import ServiceFile

PORT: Final = 8080

_START_S: Final = 60.0
_STOP_S: Final = 20.0
_LOOK_AGAIN_S: Final = 0.05


class DemoError(Exception):
    """The demo cannot go on; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Service:
    """The service, while it runs."""

    process: subprocess.Popen[bytes]
    data_dir: Path
    log: Path

    @property
    def url(self) -> str:
        """Where it listens, or nothing while it does not."""
        file = ServiceFile.read(self.data_dir)
        return file.url if file and file.pid == self.process.pid else ""

    def is_ready(self) -> bool:
        """Whether it takes events and has its tables in ClickHouse."""
        return bool(self.url) and '"status":"ready"' in self._read("/readyz")

    @property
    def write_key(self) -> str:
        """The key to send events with; the first start of the service has made it."""
        sites = tomllib.loads((self.data_dir / "sites.toml").read_text("utf-8"))
        return str(sites["site"][0]["write_key"])

    @property
    def clickhouse_url(self) -> str:
        """Where ClickHouse listens for HTTP."""
        ports = EmbeddedDirectory(self.data_dir / "clickhouse").read_ports()
        return f"http://127.0.0.1:{ports.http}"

    @contextmanager
    def clickhouse(self) -> Iterator[ClickHouse]:
        """Connect to its ClickHouse."""
        url = find_running(self.data_dir / "clickhouse")
        if url is None:
            raise DemoError(f"ClickHouse does not run; see {self.log}")
        with connect(url) as client:
            yield client

    def wait_for(self, look: Callable[[], object], timeout_s: float) -> bool:
        """Return whether something has become true in time.

        Raises:
            DemoError: The service has ended.
        """
        deadline = time.monotonic() + timeout_s
        while not look():
            if self.process.poll() is not None:
                raise DemoError(f"the service has ended: {self._last_words()}")
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_AGAIN_S)
        return True

    def count_events(self, outcome: str) -> int:
        """Read from `/metrics` how many events had an outcome."""
        counts = [
            sample.value
            for family in text_string_to_metric_families(self._read("/metrics"))
            for sample in family.samples
            if sample.name == "headwater_events_total"
            and sample.labels["outcome"] == outcome
        ]
        return int(sum(counts))

    def _read(self, path: str) -> str:
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:  # noqa: S310 - our own service
                text: str = answer.read().decode()
                return text
        except OSError:
            return ""

    def _last_words(self) -> str:
        lines = self.log.read_text("utf-8", "replace").splitlines()
        return f"{lines[-1]} (see {self.log})" if lines else f"see {self.log}"


@contextmanager
def run_service(directory: Path, *, keep: bool) -> Iterator[Service]:
    """Run the service; stop it and its children in the end.

    Args:
        directory: Of the demo; data and log go there.
        keep: Whether to go on with the data of an earlier run.

    Raises:
        DemoError: It does not start, or another demo is running.
    """
    with _only_demo(directory):
        data_dir = directory / "data"
        if not keep:
            shutil.rmtree(data_dir, ignore_errors=True)
        with ExitStack() as stack:
            log = directory / "service.log"
            port = PORT if _is_free(PORT) else 0
            try:
                service = stack.enter_context(_run_on(port, data_dir, log))
            except DemoError as error:
                if not port or "is in use" not in str(error):
                    raise
                # Another program took it while ours was about to.
                service = stack.enter_context(_run_on(0, data_dir, log))
            yield service


@contextmanager
def _run_on(port: int, data_dir: Path, log: Path) -> Iterator[Service]:
    service = Service(_start(port, data_dir, log), data_dir, log)
    try:
        if not service.wait_for(service.is_ready, _START_S):
            raise DemoError(f"the service is not ready in time; see {log}")
        yield service
    finally:
        _stop(service.process)


@contextmanager
def _only_demo(directory: Path) -> Iterator[None]:
    """Keep a second demo away from the data of the first."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError("another demo is running: stop it first") from None
        yield


def _start(port: int, data_dir: Path, log: Path) -> subprocess.Popen[bytes]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("HEADWATER_")
    }
    settings = {
        "HEADWATER_DATA_DIR": str(data_dir),
        "HEADWATER_PORT": str(port),
        "HEADWATER_LOG_FORMAT": "console",
        "HEADWATER_NOT_READY_SECONDS": "0",  # no load balancer has to notice
    }
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - our own program
            [Path(sys.executable).with_name("headwater-ingest"), "serve"],
            env={**inherited, **settings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for the demo, which ends its service
        )


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
    finally:
        # Too slow, or a second Ctrl-C: the children of the service end with it.
        process.kill()
        process.wait()
