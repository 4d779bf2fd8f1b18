"""Sends INSERTs to ClickHouse. It writes and decides nothing."""

import time
from collections.abc import Callable

from headwater_ingest.clickhouse.client import Client
from headwater_ingest.clickhouse.columns import encode_columns_at_once
from headwater_ingest.writer.block import Insert


class ClickHouseSink:
    """One connection, opened when it is needed and dropped after any error.

    After an error of the driver half a block may be under way, so the connection cannot
    be used again; the server throws away what was not ended.
    """

    def __init__(
        self, connect: Callable[[], Client], note_seconds: Callable[[float], object]
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            connect: Opens a connection.
            note_seconds: Is told how long each INSERT took.
        """
        self._connect = connect
        self._note_seconds = note_seconds
        self._client: Client | None = None

    def insert(self, insert: Insert) -> None:
        """Return once the rows are in ClickHouse; under a known token that is no work.

        Raises:
            Exception: Whatever went wrong, for `classify`. The rows may be there
                already, all of them or some; the same INSERT again makes it all.
        """
        client = self._client or self._open()
        self._client = None
        started = time.perf_counter()
        try:
            client.execute(
                f"INSERT INTO {insert.table} ({', '.join(insert.names)}) VALUES",
                insert.columns,
                columnar=True,
                settings={"insert_deduplication_token": insert.token},
            )
        except BaseException:
            client.disconnect()
            raise
        finally:
            self._note_seconds(time.perf_counter() - started)
        self._client = client

    def _open(self) -> Client:
        client = self._connect()
        encode_columns_at_once(client)
        return client

    def close(self) -> None:
        """Close the connection; an embedded server waits seconds for open ones."""
        if self._client is not None:
            self._client.disconnect()
        self._client = None
