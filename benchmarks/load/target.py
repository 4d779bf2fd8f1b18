"""The processes under load: a service, or a floor; what they cost, what they count.

Reads the CPU of processes from `/proc`, so it needs Linux.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import msgspec
from benchmarks.load.quiet import count_merges
from benchmarks.load.sites import SITE, write_sites
from prometheus_client.parser import text_string_to_metric_families

from headwater_ingest.clickhouse.client import connect
from headwater_ingest.clickhouse.embedded import find_running
from headwater_ingest.journal.database import FILE_NAME
from headwater_ingest.journal.peek import open_for_reading
from headwater_ingest.settings import Settings

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_START_S: Final = 60.0
_STOP_S: Final = 30.0
_UTIME: Final = 11  # fields of /proc/PID/stat, counted after the name
_PARENT: Final = 1
# Children by what their command line has in it; the others are those of ClickHouse.
_KINDS: Final = {
    b"headwater_ingest.writer": "writer",
    b"headwater_ingest.worker": "http",
}
_WAITING: Final = """
    SELECT max(first_row + row_count) - min(first_row) FROM chunks WHERE first_row IN (
        (SELECT min(first_row) FROM chunks), (SELECT max(first_row) FROM chunks)
    )
"""


class Target:
    """A process that listens on a port, and its children."""

    def __init__(
        self, process: subprocess.Popen[bytes], port: int, directory: Path | None = None
    ) -> None:
        """Names a process that runs.

        Args:
            process: The process.
            port: Where it listens.
            directory: Where it keeps its data, if it does.
        """
        self.process = process
        self.port = port
        self._directory = directory

    def cpu_s(self) -> dict[str, float]:
        """Returns the CPU seconds of `http`, `writer` and `clickhouse`.

        `http` is the service and its workers, if it has any.
        """
        return {
            name: sum(read_cpu_s(pid) for pid in pids)
            for name, pids in self._pids().items()
        }

    def rss_mb(self) -> dict[str, float]:
        """Returns the resident memory of the same processes."""
        return {
            name: sum(_read_rss_mb(pid) for pid in pids)
            for name, pids in self._pids().items()
        }

    def metrics(self) -> dict[tuple[str, str], float]:
        """Returns samples of `/metrics` by name and labels, joined by commas."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            text = answer.read().decode()
        return {
            (sample.name, ",".join(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def readiness(self) -> dict[str, Any]:
        """Returns what `/readyz` says."""
        with urlopen(f"http://127.0.0.1:{self.port}/readyz") as answer:
            found: dict[str, Any] = msgspec.json.decode(answer.read())
            return found

    def rows_waiting(self) -> int:
        """Returns how many rows are in the journal, without the service noticing.

        Each commit that only counts something is taken for a row.

        Raises:
            RuntimeError: There is no journal.
        """
        if self._directory is None:
            raise RuntimeError("a floor has no journal")
        with open_for_reading(self._directory / FILE_NAME) as connection:
            [(rows,)] = connection.execute(_WAITING)
        return int(rows or 0)

    def merges(self) -> int:
        """Returns how many merges the embedded ClickHouse is at.

        Raises:
            RuntimeError: There is none.
        """
        url = None
        if self._directory:
            url = find_running(Settings(data_dir=self._directory).clickhouse_dir)
        if url is None:
            raise RuntimeError("no embedded ClickHouse runs")
        with connect(url) as client:
            return count_merges(client)

    def _pids(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {"http": [self.process.pid]}
        for pid in _descendants(self.process.pid):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            kind = next(
                (kind for module, kind in _KINDS.items() if module in command),
                "clickhouse",
            )
            found.setdefault(kind, []).append(pid)
        return found


def prepare_site(directory: Path) -> None:
    """Writes the file of the only site."""
    write_sites(directory / "sites.toml", [SITE])


@contextmanager
def run_service(
    *, prepare: Callable[[Path], None] = prepare_site, **settings: str
) -> Iterator[Target]:
    """Runs a service on a directory of its own, and removes it afterwards.

    Args:
        prepare: Puts into the empty directory what the service is to find there.
        settings: How to run, by the names of the settings.
    """
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as name:
        directory = Path(name)
        prepare(directory)
        given = {"data_dir": name, "port": "0", "log_level": "error", **settings}
        program = Path(sys.executable).with_name("headwater-ingest")
        with _running([str(program), "serve"], _environment(given)) as process:
            told = directory / "service.json"
            _wait_for(told.exists, process)
            port = msgspec.json.decode(told.read_bytes())["port"]
            yield Target(process, port, directory)


@contextmanager
def run_floor(kind: str) -> Iterator[Target]:
    """Runs a floor."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.load.floor", kind, str(port)]
    with _running(command, _environment({})) as process:
        _wait_for(lambda: _answers(port), process)
        yield Target(process, port)


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    ours = {name: text for name, text in os.environ.items() if "HEADWATER" not in name}
    return ours | {f"HEADWATER_{name.upper()}": each for name, each in settings.items()}


@contextmanager
def _running(
    command: list[str], environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(_STOP_S)


def _wait_for(is_there: Any, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_S
    while not is_there():
        if process.poll() is not None or time.monotonic() > until:
            sys.exit(f"{process.args!r} did not start")
        time.sleep(0.05)


def _answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def _descendants(pid: int) -> list[int]:
    children = {
        int(each.name): int(_stat(int(each.name))[_PARENT])
        for each in Path("/proc").iterdir()
        if each.name.isdigit() and _stat(int(each.name))
    }
    found = [pid]
    for each in found:
        found += [child for child, parent in children.items() if parent == each]
    return found[1:]


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:  # it has ended
        return []
    return text.rpartition(") ")[2].split()


def read_cpu_s(pid: int) -> float:
    """Returns the CPU seconds that a process has used so far."""
    user, system = _stat(pid)[_UTIME : _UTIME + 2]
    return (int(user) + int(system)) / _TICKS_PER_S


def _read_rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6
