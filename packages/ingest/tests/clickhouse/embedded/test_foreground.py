import base64
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater_ingest.clickhouse.client import ClickHouseUrl, connect
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse, find_running
from headwater_ingest.clickhouse.embedded.foreground import describe_running

pytestmark = pytest.mark.clickhouse

PROGRAM = """
import sys
from pathlib import Path
from headwater_ingest.clickhouse.embedded import run_in_foreground
from headwater_ingest.telemetry.logs import configure_logs
configure_logs("error", "json")
run_in_foreground(Path(sys.argv[1]), echo=lambda line: print(line, flush=True))
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        yield process
        process.kill()


def read_help(program: subprocess.Popen[str]) -> list[str]:
    """Read what is printed, up to its last line."""
    assert program.stdout is not None
    lines = []
    for line in program.stdout:
        lines.append(line.strip())
        if "HEADWATER_CLICKHOUSE_URL" in line:
            break
    return lines


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_server_runs_until_a_signal_comes(
    program: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    read_help(program)
    assert find_running(tmp_path) is not None
    program.send_signal(number)

    assert program.wait(10) == 0
    assert find_running(tmp_path) is None


def test_the_printed_url_leads_to_the_server(program: subprocess.Popen[str]) -> None:
    lines = read_help(program)
    setting = [
        line for line in lines if line.startswith(("PASSWORD=", "export HEADWATER"))
    ]
    script = "; ".join([*setting, 'printf %s "$HEADWATER_CLICKHOUSE_URL"'])
    url = subprocess.run(
        ["sh", "-c", script], check=True, capture_output=True, text=True
    ).stdout

    with connect(ClickHouseUrl.parse(url).without_database()) as client:
        assert client.execute("SELECT 1") == [(1,)]


def test_the_help_names_both_ports_and_tells_no_secret(
    server: EmbeddedClickHouse,
) -> None:
    text = "\n".join(describe_running(server.directory.path))

    assert f"--port {server.url.port} " in text
    assert f"http://127.0.0.1:{server.http_port}/" in text
    assert server.url.password not in text


def test_http_takes_the_same_login(server: EmbeddedClickHouse) -> None:
    login = f"{server.url.user}:{server.url.password}".encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.http_port}/",
        data=b"SELECT 1",
        headers={"Authorization": f"Basic {base64.b64encode(login).decode()}"},
    )

    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.read() == b"1\n"
