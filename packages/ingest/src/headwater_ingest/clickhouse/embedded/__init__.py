"""A ClickHouse server in a child process, from the wheel of ``chdb-core``.

It listens on the loopback only, lives in one directory, is started again when it dies,
and ends with the process that started it. To the rest of the service it is a server
like any other, reached by its URL.
"""

from headwater_ingest.clickhouse.embedded.directory import (
    find_http_port,
    find_running,
)
from headwater_ingest.clickhouse.embedded.foreground import (
    describe_running,
    run_in_foreground,
)
from headwater_ingest.clickhouse.embedded.supervisor import EmbeddedClickHouse

__all__ = [
    "EmbeddedClickHouse",
    "describe_running",
    "find_http_port",
    "find_running",
    "run_in_foreground",
]
