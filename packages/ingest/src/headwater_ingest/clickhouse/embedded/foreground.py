"""The embedded ClickHouse by itself, in the foreground, for a person at a terminal."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from headwater_ingest.clickhouse.embedded.directory import (
    find_http_port,
    find_running,
)
from headwater_ingest.clickhouse.embedded.supervisor import (
    DEFAULT_MAX_MEMORY_BYTES,
    EmbeddedClickHouse,
)
from headwater_ingest.clickhouse.url import ClickHouseUrl

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_in_foreground(
    directory: Path,
    *,
    max_memory_bytes: int = DEFAULT_MAX_MEMORY_BYTES,
    tcp_port: int = 0,
    http_port: int = 0,
    echo: Callable[[str], None] = print,
) -> None:
    """Run the server until Ctrl-C or SIGTERM; say how to connect. Main thread only.

    Args:
        directory: Where it lives.
        max_memory_bytes: As for `EmbeddedClickHouse`.
        tcp_port: As for `EmbeddedClickHouse`.
        http_port: As for `EmbeddedClickHouse`.
        echo: Prints one line.

    Raises:
        EmbeddedClickHouseError: It cannot start.
    """
    server = EmbeddedClickHouse(
        directory,
        max_memory_bytes=max_memory_bytes,
        tcp_port=tcp_port,
        http_port=http_port,
    )
    with _until_signal() as stop, server:
        path = server.directory.path
        echo(f"ClickHouse runs in {path}; Ctrl-C stops it.")
        for line in _describe_connection(path, server.url, server.http_port):
            echo(line)
        stop.wait()
        echo("Stopping ClickHouse.")


def describe_running(directory: Path) -> list[str]:
    """Return the lines that tell how to connect to a server that another process runs.

    Returns:
        No line, if there is no such server.
    """
    path = directory.resolve()
    url = find_running(path)
    if url is None:
        return []
    told = f"ClickHouse runs in {path} already, and goes on when this command ends."
    return [told, *_describe_connection(path, url, find_http_port(path))]


def _describe_connection(
    path: Path, url: ClickHouseUrl, http_port: int
) -> Iterator[str]:
    """Yield the lines that tell a person how to connect. None holds the password."""
    password = f'"$(cat {quote(str(path / "password"))})"'
    yield ""
    yield f"  native  {url.host}:{url.port}  user {url.user}"
    yield f"  HTTP    {url.host}:{http_port}  same login"
    yield ""
    yield f"  PASSWORD={password}"
    yield (
        f"  clickhouse-client --host {url.host} --port {url.port} --user {url.user} "
        f'--password "$PASSWORD" --database {url.database}'
    )
    yield (
        f'  curl --user "{url.user}:$PASSWORD" '
        f"'http://{url.host}:{http_port}/?database={url.database}' "
        "--data-binary 'SHOW TABLES'"
    )
    yield (
        f'  export HEADWATER_CLICKHOUSE_URL="clickhouse://{url.user}:$PASSWORD@'
        f'{url.address}/{url.database}"'
    )


@contextmanager
def _until_signal() -> Iterator[threading.Event]:
    """Turn the signals that end a program into an event."""
    stop = threading.Event()
    before = {each: signal.getsignal(each) for each in _SIGNALS}
    for each in _SIGNALS:
        signal.signal(each, lambda *_: stop.set())
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
