import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from headwater_ingest.clickhouse.client import (
    OLDEST_VERSION,
    ClickHouseUrl,
    Client,
    check_version,
    connect,
)
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.errors import (
    ClickHouseRefusedError,
    ClickHouseTooOldError,
    ClickHouseUnreachableError,
)

pytestmark = pytest.mark.clickhouse

# Of 127.0.0.1, signed by itself, with its key: worth nothing outside these tests.
CERTIFICATE = Path(__file__).with_name("certificate.pem")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, kept free for the test."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def mute_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def tls_port(server: EmbeddedClickHouse) -> Iterator[int]:
    """A port that takes TLS and passes what is in it to the server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = threading.Thread(target=_pass_one, args=(listener, context, server))
        proxy.start()
        yield listener.getsockname()[1]
        with suppress(OSError):  # it still accepts if no test connected
            listener.shutdown(socket.SHUT_RDWR)
        proxy.join()


def _pass_one(
    listener: socket.socket, context: ssl.SSLContext, server: EmbeddedClickHouse
) -> None:
    """Serve one connection; one that fails is the client's to report."""
    with suppress(OSError):
        accepted, _ = listener.accept()
        address = (server.url.host, server.url.port)
        with (
            accepted,
            context.wrap_socket(accepted, server_side=True) as outside,
            socket.create_connection(address) as inside,
        ):
            _pump_both(outside, inside)


def _pump_both(outside: ssl.SSLSocket, inside: socket.socket) -> None:
    back = threading.Thread(target=_pump, args=(inside, outside))
    back.start()
    _pump(outside, inside)
    back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def test_a_connection_answers_queries(client: Client, url: ClickHouseUrl) -> None:
    assert client.execute("SELECT currentDatabase()") == [(url.database,)]


def test_a_connection_that_was_closed_is_opened_again(client: Client) -> None:
    client.disconnect()

    assert client.execute("SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    "setting, value",
    [
        ("async_insert", 0),
        ("insert_deduplicate", 1),
        ("deduplicate_blocks_in_dependent_materialized_views", 1),
        ("distributed_foreground_insert", 1),
    ],
)
def test_the_settings_that_promises_rest_on_are_sent(
    client: Client, setting: str, value: int
) -> None:
    assert client.execute(f"SELECT toInt64(getSetting('{setting}'))") == [(value,)]


def test_repeated_inserts_are_refused_whatever_the_profile_says(
    client: Client,
) -> None:
    """The newer setting, which wins; a server that does not know it ignores it."""
    assert client.execute("SELECT getSetting('deduplicate_insert')") == [("enable",)]


def test_a_closed_port_is_unreachable(closed_port: int) -> None:
    with pytest.raises(ClickHouseUnreachableError, match="Connection refused") as e:
        connect(ClickHouseUrl("127.0.0.1", port=closed_port))

    assert e.value.address == f"127.0.0.1:{closed_port}"


def test_a_server_that_does_not_answer_is_unreachable(mute_port: int) -> None:
    with pytest.raises(ClickHouseUnreachableError, match="no answer in time"):
        connect(ClickHouseUrl("127.0.0.1", port=mute_port), connect_timeout_s=0.1)


def test_the_http_port_is_unreachable_and_the_native_one_is_named(
    server: EmbeddedClickHouse,
) -> None:
    with pytest.raises(ClickHouseUnreachableError, match=r"native port .usually 9000"):
        connect(replace(server.url, port=server.http_port), connect_timeout_s=0.2)


def test_a_server_of_another_kind_is_unreachable() -> None:
    def greet(listener: socket.socket) -> None:
        with listener.accept()[0] as accepted:
            accepted.recv(1024)
            accepted.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        other = threading.Thread(target=greet, args=(listener,))
        other.start()
        port = listener.getsockname()[1]
        with pytest.raises(ClickHouseUnreachableError, match="another protocol"):
            connect(ClickHouseUrl("127.0.0.1", port=port))
        other.join()


def test_any_other_refusal_is_passed_on_in_one_line(server: EmbeddedClickHouse) -> None:
    url = replace(server.url.without_database(), user="default", password="")

    with pytest.raises(ClickHouseRefusedError, match=r"code 700.*session count 1$"):
        connect(url)


def test_a_host_that_does_not_exist_is_unreachable() -> None:
    with pytest.raises(ClickHouseUnreachableError, match=r"nowhere\.invalid:9000"):
        connect(ClickHouseUrl("nowhere.invalid"))


def test_a_wrong_password_is_refused(server: EmbeddedClickHouse) -> None:
    wrong = replace(server.url, password="guess")

    with pytest.raises(ClickHouseRefusedError, match="check user and password") as e:
        connect(wrong)

    assert e.value.code == 516
    assert "guess" not in str(e.value)


def test_a_missing_database_is_refused_and_the_remedy_named(url: ClickHouseUrl) -> None:
    with pytest.raises(ClickHouseRefusedError, match="headwater-ingest migrate") as e:
        connect(url)

    assert e.value.code == 81


@pytest.mark.parametrize("version", [(24, 7, 9), (23, 8, 1), (18, 16, 1)])
def test_an_old_server_is_refused(version: tuple[int, ...]) -> None:
    with pytest.raises(ClickHouseTooOldError, match=r"upgrade it to 24\.8"):
        check_version(version)


@pytest.mark.parametrize("version", [(*OLDEST_VERSION, 1), (26, 9, 2), (100, 0, 0)])
def test_a_newer_server_is_taken(version: tuple[int, ...]) -> None:
    check_version(version)


def test_tls_with_a_trusted_certificate_works(
    server: EmbeddedClickHouse, tls_port: int
) -> None:
    url = replace(
        server.url.without_database(),
        port=tls_port,
        tls=True,
        ca_file=str(CERTIFICATE),
    )

    with connect(url) as client:
        assert client.execute("SELECT 1") == [(1,)]


def test_tls_with_an_unknown_certificate_is_refused(
    server: EmbeddedClickHouse, tls_port: int
) -> None:
    url = replace(server.url, port=tls_port, tls=True)

    with pytest.raises(ClickHouseUnreachableError, match="certificate verify failed"):
        connect(url)


def test_tls_to_a_plain_port_is_unreachable(server: EmbeddedClickHouse) -> None:
    with pytest.raises(ClickHouseUnreachableError, match="SSL"):
        connect(replace(server.url, tls=True))
