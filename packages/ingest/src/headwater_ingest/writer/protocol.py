"""What the service and its writer process say to each other, a JSON object per line.

    service → writer, standard input     `WriterSettings`, once
                                         `Drain`, when the service stops
                                         end of file: the service is gone
    writer → service, standard output    `WriterStatus`, at every change of state and a
                                         few times per second in between

Nothing travels in arguments or in the environment, where other users could read it.
"""

from typing import Final, Literal

import msgspec
from msgspec import Struct

from headwater_ingest.writer.bisect import DEFAULT_RUN, DEFAULT_SHARE
from headwater_ingest.writer.classify import Failure


class WriterSettings(Struct, frozen=True, kw_only=True):
    """What a writer needs to know.

    Attributes:
        directory: The data directory, where the journal is.
        clickhouse_url: Where the rows go, with the password.
        block_rows: Most rows in one INSERT.
        block_age_ms: Longest time that a row waits for its block to fill.
        dead_letter_run: See `Limits`.
        dead_letter_share: Likewise.
        archive_days: See `Keeping`; 0 is no archive.
        archive_max_bytes: Likewise.
    """

    directory: str
    clickhouse_url: str
    block_rows: int = 20_000
    block_age_ms: int = 1000
    dead_letter_run: int = DEFAULT_RUN
    dead_letter_share: float = DEFAULT_SHARE
    archive_days: int = 0
    archive_max_bytes: int = 0


class Drain(Struct, frozen=True, kw_only=True):
    """Write what is there, until nothing is left or the time is up, and end.

    Attributes:
        drain_s: The time.
    """

    drain_s: float


WriterState = Literal["starting", "running", "retrying", "stopped"]


class WriterStatus(Struct, frozen=True, kw_only=True):
    """How a writer is, and what it has done since it was started.

    Attributes:
        state: `retrying` while a block has failed and is going to be sent again.
        rows_written: Rows that are in ClickHouse and gone from the journal.
        rows_dead: Rows that are dead letters now.
        blocks_written: Blocks that are gone from the journal.
        insert_seconds: Time spent in INSERTs, those that failed included.
        failures: Attempts that failed.
        last_error: Why it is retrying; None in any other state.
    """

    state: WriterState = "starting"
    rows_written: int = 0
    rows_dead: int = 0
    blocks_written: int = 0
    insert_seconds: float = 0.0
    failures: int = 0
    last_error: Failure | None = None

    def plus(self, earlier: "WriterStatus") -> "WriterStatus":
        """Return this status with the counts of an earlier process added."""
        return msgspec.structs.replace(
            self,
            rows_written=self.rows_written + earlier.rows_written,
            rows_dead=self.rows_dead + earlier.rows_dead,
            blocks_written=self.blocks_written + earlier.blocks_written,
            insert_seconds=self.insert_seconds + earlier.insert_seconds,
            failures=self.failures + earlier.failures,
        )


decode_settings: Final = msgspec.json.Decoder(WriterSettings).decode
decode_drain: Final = msgspec.json.Decoder(Drain).decode
decode_status: Final = msgspec.json.Decoder(WriterStatus).decode


def encode_line(message: WriterSettings | Drain | WriterStatus) -> bytes:
    """Return a message as it goes over the pipe."""
    return msgspec.json.encode(message) + b"\n"
