"""Short conversations with ClickHouse, for what is not rows of events.

Each has a connection of its own: a few milliseconds, and nothing is left open that the
end of the service, or of ClickHouse, would have to wait for.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from clickhouse_driver.errors import ServerException

from headwater_ingest.clickhouse.client import (
    CONNECTION_ERRORS,
    Client,
    connect,
    first_line,
    unreachable,
)
from headwater_ingest.clickhouse.url import ClickHouseUrl
from headwater_ingest.errors import QueryRefusedError

_CONNECT_S = 3.0
_ANSWER_S = 10.0


@contextmanager
def open_session(
    url: ClickHouseUrl, *, timeout_s: float = _ANSWER_S
) -> Iterator[Client]:
    """Connect for a few queries.

    Args:
        url: Where and as whom.
        timeout_s: Longest silence of the server during a query.

    Raises:
        ClickHouseUnreachableError: It is away, or went away; a write may have happened.
        ClickHouseRefusedError: The login or the database is wrong.
        ClickHouseTooOldError: The server is.
        QueryRefusedError: It refused a query.
    """
    try:
        with connect(url, connect_timeout_s=_CONNECT_S, timeout_s=timeout_s) as client:
            yield client
    except CONNECTION_ERRORS as error:
        raise unreachable(url, error) from error
    except ServerException as error:
        raise QueryRefusedError(
            error.code,
            f"ClickHouse at {url.address} refuses (code {error.code}): "
            f"{first_line(error)}",
        ) from error
