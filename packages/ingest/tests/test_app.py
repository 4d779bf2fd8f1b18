"""The whole service as a process of its own, on an embedded ClickHouse."""

import asyncio
import gc
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from headwater_ingest.app import serve
from headwater_ingest.clickhouse.client import connect
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse, find_running
from headwater_ingest.errors import SitesFileError
from headwater_ingest.service_file import ServiceFile
from headwater_ingest.settings import Settings

pytestmark = pytest.mark.clickhouse

DEADLINE_S = 30.0
KEY = "hw_0123456789abcdef"
T = TypeVar("T")


def eventually(look: Callable[[], T]) -> T:
    """Return the first true value, or fail after the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not (seen := look()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)
    return seen


class Service:
    """One `headwater-ingest serve` on one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.log = data_dir.with_suffix(".log")
        self.environ = {
            "PATH": os.environ["PATH"],
            "HEADWATER_DATA_DIR": str(data_dir),
            "HEADWATER_PORT": "0",
            "HEADWATER_NOT_READY_SECONDS": "0",
            "HEADWATER_BLOCK_SECONDS": "0.05",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self, **environ: str) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "headwater_ingest", "serve"],
                env={**self.environ, **environ},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start(self, **environ: str) -> None:
        self.launch(**environ)
        eventually(self._is_announced)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process
        return self._process

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        lines = map(msgspec.json.decode, self.log.read_text().splitlines())
        return [line for line in lines if event in (None, line["event"])]

    def get(self, path: str) -> tuple[int, bytes]:
        return self.ask("GET", path, None)

    def post(self, name: str) -> tuple[int, bytes]:
        body = msgspec.json.encode({"events": [{"event": name, "distinct_id": "d"}]})
        return self.ask("POST", "/ingest-events", body)

    def ask(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        file = ServiceFile.read(self.data_dir)
        assert file
        connection = http.client.HTTPConnection(*file.address, timeout=DEADLINE_S)
        key = re.search(r"hw_[\w-]+", (self.data_dir / "sites.toml").read_text())
        assert key
        connection.request(
            method,
            path,
            body,
            {"X-Headwater-Key": key[0], "Content-Type": "application/json"},
        )
        answer = connection.getresponse()
        try:
            return answer.status, answer.read()
        finally:
            connection.close()

    def readiness(self) -> tuple[int, dict[str, Any]]:
        status, body = self.get("/readyz")
        return status, msgspec.json.decode(body)

    def metrics(self) -> str:
        return self.get("/metrics")[1].decode()

    def degraded(self) -> list[str]:
        reasons: list[str] = self.readiness()[1]["degraded"]
        return reasons

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(DEADLINE_S)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def end(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait(DEADLINE_S)

    def _is_announced(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        file = ServiceFile.read(self.data_dir)
        return file is not None and file.pid == self.process.pid


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path / "data")
    yield service
    service.end()


def stored(service: Service) -> list[str]:
    url = find_running(service.data_dir / "clickhouse")
    assert url
    with connect(url) as client:
        return [name for (name,) in client.execute("SELECT name FROM events")]


def test_a_service_takes_events_to_clickhouse_and_stops_in_good_order(
    service: Service,
) -> None:
    service.start()
    status, body = service.post("visit")
    eventually(lambda: stored(service) == ["visit"])
    readiness = service.readiness()
    metrics = service.metrics()
    code = service.stop()

    assert (status, code) == (200, 0)
    assert b'"accepted":1' in body
    assert (readiness[0], readiness[1]["status"]) == (200, "ready")
    assert 'headwater_events_total{outcome="accepted",reason=""} 1.0' in metrics
    assert ServiceFile.read(service.data_dir) is None
    (stopped,) = service.lines("stopped")
    assert stopped["rows_left"] == 0
    assert [line for line in service.lines() if line["level"] != "info"] == []


def test_the_first_start_writes_a_site_and_says_where(service: Service) -> None:
    service.start()
    service.stop()

    sites = service.data_dir / "sites.toml"
    (line,) = service.lines("first sites file written")
    assert line["file"] == str(sites)
    assert sites.stat().st_mode & 0o777 == 0o600
    (key,) = re.findall(r"hw_[\w-]+", sites.read_text())
    assert key not in service.log.read_text()


def test_a_node_that_drains_is_not_ready_and_still_takes_events(
    service: Service,
) -> None:
    service.start(HEADWATER_NOT_READY_SECONDS="60")
    service.signal(signal.SIGTERM)
    eventually(lambda: service.readiness()[0] == 503)

    assert service.readiness()[1]["blocked"] == ["draining"]
    assert service.get("/healthz")[0] == 200
    assert service.post("late")[0] == 200

    service.signal(signal.SIGTERM)
    assert service.wait() == 0


def test_events_wait_in_the_journal_until_clickhouse_is_there(
    service: Service, tmp_path: Path
) -> None:
    with EmbeddedClickHouse(tmp_path / "clickhouse") as server:
        url = server.url
    service.data_dir.mkdir()
    sites = '[[site]]\ndomain = "example.com"\nwrite_key = "hw_0123456789abcdef"\n'
    (service.data_dir / "sites.toml").write_text(sites)
    service.start(HEADWATER_CLICKHOUSE_URL=url.with_password())

    assert service.readiness()[0] == 200
    assert set(service.degraded()) == {
        "clickhouse_away",
        "schema_pending",
        "writer_down",
        "local_salt",
    }
    assert service.post("early")[0] == 200

    eventually(lambda: service.lines("readiness changed"))
    with EmbeddedClickHouse(tmp_path / "clickhouse", tcp_port=url.port) as server:
        eventually(lambda: service.degraded() == [])
        with connect(server.url) as client:
            eventually(lambda: client.execute("SELECT name FROM events"))
        assert service.stop() == 0


def test_the_log_tells_a_person_in_plain_words_what_is_wrong(service: Service) -> None:
    service.start(
        HEADWATER_CLICKHOUSE_URL="clickhouse://127.0.0.1:1",
        HEADWATER_LOG_FORMAT="console",
    )

    eventually(lambda: "readiness changed" in service.log.read_text())
    text = service.log.read_text()
    assert "'clickhouse_away'" in text
    assert "<Degraded" not in text


def test_a_writer_that_is_killed_is_started_again(service: Service) -> None:
    service.start()
    service.post("first")
    eventually(lambda: "headwater_writer_rows_total 1.0" in service.metrics())
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
    (writer,) = (
        int(pid)
        for pid in children.read_text().split()
        if b"headwater_ingest.writer" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )

    os.kill(writer, signal.SIGKILL)
    service.post("second")

    eventually(lambda: sorted(stored(service)) == ["first", "second"])
    eventually(lambda: "headwater_writer_rows_total 2.0" in service.metrics())
    assert "headwater_writer_restarts_total 1.0" in service.metrics()


def test_a_sites_file_that_breaks_is_degraded_and_changes_nothing(
    service: Service,
) -> None:
    service.start()
    sites = service.data_dir / "sites.toml"
    good = sites.read_text()

    sites.write_text(f"{good}\n[[site]]\n")
    eventually(lambda: service.degraded() == ["sites_file_broken"])

    sites.write_text(good)
    assert service.post("visit")[0] == 200


def test_a_start_that_fails_gives_everything_back(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, sites_file=tmp_path / "missing.toml", port=0)

    for _ in range(2):
        with pytest.raises(SitesFileError, match="does not exist"):
            asyncio.run(serve(settings))


def test_a_stop_gives_everything_back(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        port=0,
        clickhouse_url="clickhouse://127.0.0.1:1",
        not_ready_seconds=0,
    )

    async def start_and_stop() -> None:
        serving = asyncio.create_task(serve(settings))
        async with asyncio.timeout(DEADLINE_S):
            while ServiceFile.read(tmp_path) is None:  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.01)
            os.kill(os.getpid(), signal.SIGTERM)
            await serving

    for _ in range(2):
        asyncio.run(start_and_stop())
        assert ServiceFile.read(tmp_path) is None
    gc.unfreeze()


def test_a_second_service_on_one_directory_is_one_clear_line(service: Service) -> None:
    service.start()
    second = Service(service.data_dir)
    second.log = service.data_dir.with_suffix(".second.log")
    second.launch()

    assert second.wait() == 1
    (line,) = second.log.read_text().splitlines()
    assert line.startswith(f"error: {service.data_dir} is in use by process ")
    assert service.readiness()[0] == 200


@pytest.mark.parametrize(
    "variable,value,line,expected",
    [
        ("SITES_FILE", "/no/such.toml", "sites file /no/such.toml does not exist", 1),
        ("CLICKHOUSE_URL", "clickhouse://host:port", "port", 2),
        ("PORT", "{taken}", "is in use: stop the other program or set", 1),
    ],
)
def test_what_an_operator_did_wrong_is_one_clear_line(
    variable: str, value: str, line: str, expected: int, *, service: Service
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        service.launch(**{f"HEADWATER_{variable}": value.format(taken=port)})
        code = service.wait()

    assert code == expected
    (printed,) = service.log.read_text().splitlines()
    assert printed.startswith("error: ")
    assert line in printed
