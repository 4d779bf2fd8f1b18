import os
import signal
import socket
import stat
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from clickhouse_driver.errors import ServerException

from headwater_ingest.clickhouse.client import CONNECTION_ERRORS, connect
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse, find_running
from headwater_ingest.clickhouse.migrate import migrate
from headwater_ingest.errors import (
    ClickHouseRefusedError,
    ClickHouseUnreachableError,
    DataDirectoryInUseError,
    EmbeddedNotInstalledError,
    EmbeddedStartError,
    PortInUseError,
)

pytestmark = pytest.mark.clickhouse

MakeServer = Callable[..., EmbeddedClickHouse]
Eventually = Callable[[Callable[[], bool]], None]


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def break_config(server: EmbeddedClickHouse) -> Path:
    """Make the next start fail, until the file that is returned is removed."""
    folder = server.directory.path / "config.d"
    folder.mkdir(parents=True)
    broken = folder / "broken.xml"
    broken.write_text("<clickhouse><oops>")
    return broken


def kill(server: EmbeddedClickHouse) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)


def has_restarted(server: EmbeddedClickHouse, times: int) -> bool:
    return server.restarts == times


def ask(server: EmbeddedClickHouse, query: str) -> object:
    with connect(server.url.without_database()) as client:
        return client.execute(query)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_server_that_started_takes_connections(make_server: MakeServer) -> None:
    with make_server() as server:
        assert ask(server, "SELECT 1") == [(1,)]
        assert (server.alive, server.restarts) == (True, 0)


def test_merges_wait_for_more_parts_than_by_default(server: EmbeddedClickHouse) -> None:
    query = (
        "SELECT value FROM system.merge_tree_settings "
        "WHERE name = 'merge_selector_base' AND changed"
    )
    assert ask(server, query) == [("20",)]


def test_days_begin_at_midnight_utc(server: EmbeddedClickHouse) -> None:
    assert ask(server, "SELECT toHour(toDateTime(3600))") == [(1,)]


def test_a_stop_is_quick_when_no_client_is_connected(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    pid = server.pid
    began = time.monotonic()
    server.stop()

    assert time.monotonic() - began < 2.5  # half of what a connected client costs
    assert pid is not None
    assert is_gone(pid)
    assert (server.alive, server.pid) == (False, None)


def test_a_stop_kills_what_does_not_end_in_time(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    with connect(server.url.without_database()):
        began = time.monotonic()
        server.stop(timeout_s=0.1)

    assert time.monotonic() - began < 2.5
    assert not server.alive


def test_a_stop_of_what_never_started_does_nothing(make_server: MakeServer) -> None:
    make_server().stop()


def test_rows_are_there_after_a_stop_and_a_start(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    ask(server, "CREATE TABLE default.t ENGINE = MergeTree ORDER BY x AS SELECT 7 AS x")
    server.stop()
    server.start()

    assert ask(server, "SELECT x FROM default.t") == [(7,)]


def test_a_server_cannot_be_started_twice(make_server: MakeServer) -> None:
    with make_server() as server, pytest.raises(RuntimeError, match="already"):
        server.start()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_dies_is_back_at_the_same_address_with_its_rows(
    make_server: MakeServer, eventually: Eventually, number: signal.Signals
) -> None:
    with make_server() as server:
        url, http_port = server.url, server.http_port
        migrate(url)
        with connect(url) as client:
            client.execute("INSERT INTO events (site_id) VALUES", [[1]], columnar=True)
        assert server.pid is not None
        os.kill(server.pid, number)
        eventually(partial(has_restarted, server, 1))

        assert ask(server, "SELECT count() FROM headwater.events") == [(1,)]
        assert (server.url, server.http_port) == (url, http_port)
        assert server.alive


def test_a_client_goes_on_with_the_server_that_came_back(
    make_server: MakeServer, eventually: Eventually
) -> None:
    with make_server() as server, connect(server.url.without_database()) as client:
        kill(server)
        eventually(partial(has_restarted, server, 1))

        assert client.execute("SELECT 1") == [(1,)]


def test_a_server_is_started_again_each_time_it_dies(
    make_server: MakeServer, eventually: Eventually
) -> None:
    with make_server() as server:
        for deaths in (1, 2, 3):
            kill(server)
            eventually(partial(has_restarted, server, deaths))

        assert ask(server, "SELECT 1") == [(1,)]


def test_a_server_that_cannot_come_back_is_tried_again_until_it_can(
    make_server: MakeServer, eventually: Eventually
) -> None:
    with make_server() as server:
        broken = break_config(server)
        kill(server)
        log = server.directory.child_log
        eventually(lambda: log.read_text().count("broken.xml") >= 2)
        assert (server.alive, server.pid, server.restarts) == (False, None, 0)

        broken.unlink()
        eventually(lambda: server.alive)

        assert server.restarts == 1


def test_a_stop_ends_the_attempts_to_come_back(
    make_server: MakeServer, eventually: Eventually
) -> None:
    server = make_server()
    server.start()
    break_config(server)
    kill(server)
    eventually(lambda: not server.alive)
    began = time.monotonic()
    server.stop()

    assert time.monotonic() - began < 2.5
    assert find_running(server.directory.path) is None


def test_a_second_server_on_a_directory_is_refused(make_server: MakeServer) -> None:
    with make_server() as server:
        with pytest.raises(DataDirectoryInUseError) as caught:
            make_server(server.directory.path).start()

        assert f"in use by process {os.getpid()}" in str(caught.value)
        assert ask(server, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("option", ["tcp_port", "http_port"])
def test_a_port_that_is_taken_is_named(
    make_server: MakeServer, taken_port: int, option: str
) -> None:
    server = make_server(**{option: taken_port})

    with pytest.raises(PortInUseError, match=f"port {taken_port} is in use") as caught:
        server.start()

    assert caught.value.port == taken_port
    assert find_running(server.directory.path) is None


def test_a_port_that_was_asked_for_is_used(
    make_server: MakeServer, taken_port: int
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    with make_server(tcp_port=port) as server:
        assert server.url.port == port


def test_a_start_that_fails_shows_the_end_of_the_log(make_server: MakeServer) -> None:
    server = make_server()
    break_config(server)

    with pytest.raises(EmbeddedStartError, match=r"exit code 5") as caught:
        server.start()

    assert "broken.xml" in str(caught.value)
    assert str(server.directory.child_log) in str(caught.value)


def test_a_log_that_has_grown_big_begins_anew(make_server: MakeServer) -> None:
    server = make_server()
    log = server.directory.child_log
    log.parent.mkdir(parents=True)
    log.write_bytes(bytes(1_000_001))
    server.start()

    assert log.stat().st_size < 1_000_000


def test_a_start_that_takes_too_long_is_given_up(make_server: MakeServer) -> None:
    server = make_server()

    with pytest.raises(EmbeddedStartError, match=r"not ready after 0\.001 s"):
        server.start(timeout_s=0.001)

    server.start()
    assert server.alive


def test_a_directory_that_cannot_be_made_is_named(
    make_server: MakeServer, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(EmbeddedStartError, match=f"cannot write to {file}/sub"):
        make_server(file / "sub").start()


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    with pytest.raises(EmbeddedNotInstalledError, match="--no-deps chdb-core"):
        make_server().start()


def test_a_query_over_the_memory_bound_fails_and_the_server_lives(
    make_server: MakeServer,
) -> None:
    with make_server(max_memory_bytes=256 * 1024**2) as server:
        pid = server.pid
        greedy = "SELECT length(groupArray(toString(number))) FROM numbers(50000000)"
        with pytest.raises(ServerException) as caught:
            ask(server, greedy)

        assert caught.value.code == 241
        assert ask(server, "SELECT 1") == [(1,)]
        assert (server.pid, server.restarts) == (pid, 0)


@pytest.mark.parametrize("user", ["default", "headwater"])
@pytest.mark.parametrize("database", ["", "system"])
def test_nobody_gets_in_without_the_password(
    server: EmbeddedClickHouse, user: str, database: str
) -> None:
    url = replace(server.url, user=user, password="", database=database)

    with pytest.raises(ClickHouseRefusedError):
        connect(url)


def test_nobody_gets_in_by_http_without_the_password(
    server: EmbeddedClickHouse,
) -> None:
    url = f"http://127.0.0.1:{server.http_port}/?query=SELECT+1"
    for settings in ("", "&max_sessions_for_user=9", "&user=headwater"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(url + settings, timeout=10)
        caught.value.close()


def test_the_password_stays_and_only_its_owner_can_read_it(
    make_server: MakeServer,
) -> None:
    server = make_server()
    server.start()
    url = server.url
    server.stop()
    server.start()
    path = server.directory.path

    assert server.url.password == url.password
    assert stat.S_IMODE((path / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_only_the_loopback_address_is_listened_on(server: EmbeddedClickHouse) -> None:
    for port in (server.url.port, server.http_port):
        with pytest.raises(OSError, match=r"."):
            socket.create_connection(("127.0.0.2", port), timeout=1).close()


def test_a_running_server_is_found_by_its_directory(make_server: MakeServer) -> None:
    server = make_server()
    path = server.directory.path
    assert find_running(path) is None
    server.start()
    assert find_running(path) == server.url
    server.stop()
    assert find_running(path) is None


@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.04, 0.06, 0.1])
def test_a_block_that_a_kill_cut_short_counts_once_after_its_retry(
    make_server: MakeServer, eventually: Eventually, delay_s: float
) -> None:
    rows = 20_000
    columns = [[1] * rows, [UUID(int=number) for number in range(rows)]]
    with make_server() as server:
        migrate(server.url)

        def insert() -> None:
            with connect(server.url) as client:
                client.execute(
                    "INSERT INTO events (site_id, event_id) VALUES",
                    columns,
                    columnar=True,
                    settings={"insert_deduplication_token": "block"},
                )

        def insert_or_fail() -> None:
            with suppress(ClickHouseUnreachableError, *CONNECTION_ERRORS):
                insert()

        first = threading.Thread(target=insert_or_fail)
        first.start()
        first.join(delay_s)
        kill(server)
        first.join()
        eventually(lambda: server.restarts == 1)
        insert()

        assert ask(server, "SELECT count() FROM headwater.events") == [(rows,)]
