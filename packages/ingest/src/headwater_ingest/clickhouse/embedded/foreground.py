"""The embedded ClickHouse by itself, in the foreground, for a person at a terminal."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from headwater_ingest.clickhouse.embedded.supervisor import (
    DEFAULT_MAX_MEMORY_BYTES,
    EmbeddedClickHouse,
)

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
        for line in describe_connection(server):
            echo(line)
        stop.wait()
        echo("Stopping ClickHouse.")


def describe_connection(server: EmbeddedClickHouse) -> Iterator[str]:
    """Yield the lines that tell a person how to connect. None holds the password."""
    url = server.url
    password = f'"$(cat {quote(str(server.directory.path / "password"))})"'
    yield f"ClickHouse runs in {server.directory.path}; Ctrl-C stops it."
    yield ""
    yield f"  native  {url.host}:{url.port}  user {url.user}"
    yield f"  HTTP    {url.host}:{server.http_port}  same login"
    yield ""
    yield f"  PASSWORD={password}"
    yield (
        f"  clickhouse-client --host {url.host} --port {url.port} --user {url.user} "
        '--password "$PASSWORD"'
    )
    yield (
        f'  curl --user "{url.user}:$PASSWORD" http://{url.host}:{server.http_port}/ '
        "--data-binary 'SHOW DATABASES'"
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
