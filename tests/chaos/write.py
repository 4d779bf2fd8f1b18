"""The writer process as it runs, with points at which it may be killed.

Started by `tests.chaos.serve` in the place of `python -m headwater_ingest.writer`.
"""

from tests.chaos import clock

clock.install()

# ruff: noqa: E402 - the clock goes first
from clickhouse_driver import Client
from tests.chaos.old import limit_migrations
from tests.chaos.serve import after, before

from headwater_ingest.journal import JournalReader, reader
from headwater_ingest.writer import __main__ as writer
from headwater_ingest.writer import loop
from headwater_ingest.writer.sink import ClickHouseSink


def install() -> None:
    """Puts all points in their places."""
    after(JournalReader, "next_block", "block frozen")
    before(Client, "receive_end_of_insert_query", "insert sent")
    after(ClickHouseSink, "insert", "insert done but no checkpoint")
    after(JournalReader, "checkpoint", "checkpoint done")
    after(reader, "bury", "during delete")
    loop.LONGEST_RETRY_S = 0.5  # type: ignore[misc]


if __name__ == "__main__":
    install()
    limit_migrations()
    writer.main()
