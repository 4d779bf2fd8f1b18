"""Connections to ClickHouse: native TCP, explicit settings, clear refusals.

A server's defaults differ between versions and profiles, so every setting that our
promises rest on is sent with each connection. A client belongs to one thread.
"""

import logging
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from clickhouse_driver import Client as DriverClient
from clickhouse_driver import errors as driver_errors

from headwater_ingest.clickhouse.url import PLAIN_PORT, TLS_PORT, ClickHouseUrl
from headwater_ingest.errors import (
    ClickHouseRefusedError,
    ClickHouseTooOldError,
    ClickHouseUnreachableError,
)

__all__ = [
    "CONNECTION_ERRORS",
    "OLDEST_VERSION",
    "ClickHouseUrl",
    "Client",
    "check_version",
    "connect",
    "first_line",
    "unreachable",
]

OLDEST_VERSION = (24, 8)
"""The first long-term release after 24.7, which made materialised views deduplicate by
the insert's token. Before, a retried block could be counted twice in a view, or a new
one be taken for a repeat. Headwater is tested with 26.9."""

CONNECTION_ERRORS: tuple[type[Exception], ...] = (
    driver_errors.NetworkError,
    driver_errors.SocketTimeoutError,
    EOFError,
    OSError,
)
"""What the driver raises when the connection fails, at the start or in a query."""

# The driver logs a traceback for each failed attempt. Ours is one line per change.
logging.getLogger("clickhouse_driver").setLevel(logging.ERROR)

_SETTINGS: Mapping[str, object] = {
    # An acknowledged INSERT is in the table, and its token was checked. Newer servers
    # would gather it in memory first.
    "async_insert": 0,
    "insert_deduplicate": 1,
    "deduplicate_insert": "enable",  # wins over the line above where it is known
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    # On a cluster, an acknowledged INSERT is on the shards, not in a queue.
    "distributed_foreground_insert": 1,
    # A block is stored as it comes. Otherwise the server sorts out beforehand what the
    # next merge would, which doubles its work for an INSERT; tokens know nothing of it.
    "optimize_on_insert": 0,
    # Up to this many rows leave the driver as one block: one part per partition.
    "insert_block_size": 1_048_576,
}
_KEEPALIVE = (60, 15, 4)  # idle, interval, probes: notices a dead peer in two minutes

_UNKNOWN_DATABASE = 81
_LOGIN_ERRORS = frozenset({192, 193, 194, 195, 516})  # user or password is wrong


class Client(Protocol):
    """What we use of ``clickhouse_driver.Client``, which carries no types."""

    connection: Any

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

    def execute(  # noqa: PLR0913 - the driver's own
        self,
        query: str,
        params: object = None,
        *,
        with_column_types: bool = False,
        types_check: bool = False,
        columnar: bool = False,
        settings: Mapping[str, object] | None = None,
        external_tables: Sequence[Mapping[str, object]] | None = None,
    ) -> Any:
        """Run one query; a SELECT returns rows, or columns if `columnar`.

        An INSERT ends in ``VALUES``, takes a list of columns with ``columnar=True``,
        integers for times (seconds or ticks), and returns the number of rows.
        """
        ...

    def disconnect(self) -> None:
        """Close the connection; the next query opens a new one."""
        ...


def connect(
    url: ClickHouseUrl,
    *,
    connect_timeout_s: float = 5.0,
    timeout_s: float = 60.0,
) -> Client:
    """Open a connection and log in.

    Afterwards the client reconnects by itself, once per query, when it finds the
    connection closed.

    Args:
        url: Where and as whom.
        connect_timeout_s: Longest wait for the connection, and then for the greeting.
        timeout_s: Longest silence of the server during a query.

    Raises:
        ClickHouseUnreachableError: Nobody speaks the native protocol there.
        ClickHouseRefusedError: The login or the database is wrong.
        ClickHouseTooOldError: See `OLDEST_VERSION`.
    """
    client = DriverClient(
        url.host,
        port=url.port,
        user=url.user,
        password=url.password,
        database=url.database,
        client_name="headwater",
        secure=url.tls,
        ca_certs=url.ca_file or None,
        connect_timeout=connect_timeout_s,
        send_receive_timeout=connect_timeout_s,
        tcp_keepalive=_KEEPALIVE,
        settings=dict(_SETTINGS),
    )
    _greet(client, url)
    client.connection.send_receive_timeout = timeout_s
    client.connection.socket.settimeout(timeout_s)
    result: Client = client
    return result


def check_version(version: tuple[int, ...]) -> None:
    """Refuse a server that lacks what exactly-once inserts need.

    Raises:
        ClickHouseTooOldError: Naming the version that is needed.
    """
    if version < OLDEST_VERSION:
        raise ClickHouseTooOldError(
            f"ClickHouse {_dotted(version)} is too old: it may count a repeated insert "
            f"twice in a materialised view; upgrade it to {_dotted(OLDEST_VERSION)} or "
            "later"
        )


def unreachable(url: ClickHouseUrl, error: Exception) -> ClickHouseUnreachableError:
    """Say that nobody is there, for one of `CONNECTION_ERRORS`."""
    usual = f"{PLAIN_PORT}, or {TLS_PORT} with clickhouses://"
    return ClickHouseUnreachableError(
        url.address,
        f"cannot reach ClickHouse at {url.address} ({_cause(error)}): check that it "
        f"runs and that this is its native port (usually {usual})",
    )


def first_line(error: Exception) -> str:
    """Return what a driver's error says, without ClickHouse's stack trace."""
    message: str = getattr(error, "message", None) or str(error)
    return message.removeprefix("DB::Exception: ").partition(". Stack trace:")[0]


def _greet(client: DriverClient, url: ClickHouseUrl) -> None:
    try:
        client.connection.connect()
        check_version(client.connection.server_info.version_tuple())
    except driver_errors.ServerException as error:
        raise _refusal(url, error) from error
    except (
        *CONNECTION_ERRORS,
        driver_errors.UnexpectedPacketFromServerError,
    ) as error:
        raise unreachable(url, error) from error
    finally:
        # A connection that greeted well stays; the driver leaves half-open ones.
        if client.connection.server_info is None:
            client.disconnect()


def _refusal(
    url: ClickHouseUrl, error: driver_errors.ServerException
) -> ClickHouseRefusedError:
    code = int(error.code)
    if code in _LOGIN_ERRORS:
        what = f"refuses the login of user {url.user!r}: check user and password"
    elif code == _UNKNOWN_DATABASE:
        what = (
            f"has no database {url.database!r}: run `headwater-ingest migrate`, or "
            "check the name in the URL"
        )
    else:
        what = f"refuses the connection (code {code}): {first_line(error)}"
    return ClickHouseRefusedError(code, f"ClickHouse at {url.address} {what}")


def _cause(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "it closed the connection"
    if isinstance(error, driver_errors.SocketTimeoutError):
        return "no answer in time"
    if isinstance(error, driver_errors.UnexpectedPacketFromServerError):
        return "what answers speaks another protocol"
    return first_line(error).partition(" (")[0]


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
