"""Decides what a failed INSERT means: wait, look for the bad rows, or stop.

The only place that does, and nothing here acts. Rows may be given up only for an error
that is known to speak of the rows, and to be raised before any of them is stored: their
block is then cut and sent in parts under other tokens. So an error that nobody has
heard of is fatal, which loses nothing.
"""

from enum import StrEnum
from typing import Final

from clickhouse_driver import errors as driver_errors
from msgspec import Struct

from headwater_ingest.clickhouse.client import CONNECTION_ERRORS, first_line
from headwater_ingest.errors import (
    ArchiveUnwritableError,
    ClickHouseError,
    ClickHouseRefusedError,
    ClickHouseUnreachableError,
    JournalDamagedError,
    JournalError,
    TooManyDeadLettersError,
)

MAX_MESSAGE_CHARS: Final = 300


class FailureKind(StrEnum):
    """What to do about a failure."""

    TRANSIENT = "transient"  # it passes: the same block, again and again
    REJECTED = "rejected"  # some of these rows will never be taken as they are
    FATAL = "fatal"  # no block will be taken until somebody has acted


class Failure(Struct, frozen=True):
    """Why a block is not in ClickHouse.

    Attributes:
        kind: What to do about it.
        message: What was said, on one line.
    """

    kind: FailureKind
    message: str


_TRANSIENT_CODES: Final = {
    3: "UNEXPECTED_END_OF_FILE",
    32: "ATTEMPT_TO_READ_AFTER_EOF",
    95: "CANNOT_READ_FROM_SOCKET",
    96: "CANNOT_WRITE_TO_SOCKET",
    100: "UNKNOWN_PACKET_FROM_SERVER",
    101: "UNEXPECTED_PACKET_FROM_CLIENT",
    102: "UNEXPECTED_PACKET_FROM_SERVER",
    159: "TIMEOUT_EXCEEDED",
    160: "TOO_SLOW",
    173: "CANNOT_ALLOCATE_MEMORY",
    198: "DNS_ERROR",
    201: "QUOTA_EXCEEDED",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    203: "NO_FREE_CONNECTION",
    204: "CANNOT_FSYNC",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    225: "NO_ZOOKEEPER",
    236: "ABORTED",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    243: "NOT_ENOUGH_SPACE",
    244: "UNEXPECTED_ZOOKEEPER_ERROR",
    252: "TOO_MANY_PARTS",
    254: "NO_ACTIVE_REPLICAS",
    265: "NO_AVAILABLE_REPLICA",
    279: "ALL_CONNECTION_TRIES_FAILED",
    285: "TOO_FEW_LIVE_REPLICAS",
    286: "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE",
    297: "SHARD_HAS_NO_CONNECTIONS",
    319: "UNKNOWN_STATUS_OF_INSERT",
    369: "ALL_REPLICAS_ARE_STALE",
    394: "QUERY_WAS_CANCELLED",
    411: "PTHREAD_ERROR",
    416: "REPLICA_STATUS_CHANGED",
    425: "SYSTEM_ERROR",
    439: "CANNOT_SCHEDULE_TASK",
    473: "DEADLOCK_AVOIDED",
    499: "S3_ERROR",
    500: "AZURE_BLOB_STORAGE_ERROR",
    529: "NOT_A_LEADER",
    574: "DISTRIBUTED_TOO_MANY_PENDING_BYTES",
    692: "TOO_MANY_MUTATIONS",
    696: "ASYNC_LOAD_CANCELED",
    700: "USER_SESSION_LIMIT_EXCEEDED",
    733: "TABLE_IS_BEING_RESTARTED",
    734: "CANNOT_WRITE_AFTER_BUFFER_CANCELED",
    735: "QUERY_WAS_CANCELLED_BY_CLIENT",
    745: "SERVER_OVERLOADED",
    749: "TCP_CONNECTION_LIMIT_REACHED",
    776: "RESOURCE_LIMIT_EXCEEDED",
    777: "MEMORY_RESERVATION_KILLED",
    778: "MEMORY_RESERVATION_FAILED",
    904: "TOO_MANY_UNAVAILABLE_SHARDS",
    999: "KEEPER_EXCEPTION",
    1000: "POCO_EXCEPTION",
    1001: "STD_EXCEPTION",
    1019: "QUERY_SLOT_ACQUISITION_TIMEOUT",
    1020: "MEMORY_RESERVATION_ACQUISITION_TIMEOUT",
}
_REJECTED_CODES: Final = {
    6: "CANNOT_PARSE_TEXT",
    25: "CANNOT_PARSE_ESCAPE_SEQUENCE",
    26: "CANNOT_PARSE_QUOTED_STRING",
    27: "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
    38: "CANNOT_PARSE_DATE",
    41: "CANNOT_PARSE_DATETIME",
    53: "TYPE_MISMATCH",
    69: "ARGUMENT_OUT_OF_BOUND",
    70: "CANNOT_CONVERT_TYPE",
    72: "CANNOT_PARSE_NUMBER",
    117: "INCORRECT_DATA",
    128: "TOO_LARGE_ARRAY_SIZE",
    131: "TOO_LARGE_STRING_SIZE",
    252: "TOO_MANY_PARTS",  # partitions; see below
    321: "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
    349: "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN",
    376: "CANNOT_PARSE_UUID",
    395: "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO",
    407: "DECIMAL_OVERFLOW",
    469: "VIOLATED_CONSTRAINT",
    691: "UNKNOWN_ELEMENT_OF_ENUM",
}
_FATAL_CODES: Final = {
    16: "NO_SUCH_COLUMN_IN_TABLE",
    47: "UNKNOWN_IDENTIFIER",
    50: "UNKNOWN_TYPE",
    60: "UNKNOWN_TABLE",
    81: "UNKNOWN_DATABASE",
    115: "UNKNOWN_SETTING",
    164: "READONLY",
    192: "UNKNOWN_USER",
    193: "WRONG_PASSWORD",
    194: "REQUIRED_PASSWORD",
    195: "IP_ADDRESS_NOT_ALLOWED",
    291: "DATABASE_ACCESS_DENIED",
    497: "ACCESS_DENIED",
    516: "AUTHENTICATION_FAILED",
    720: "USER_EXPIRED",
    774: "TABLE_IS_PERMANENTLY_READ_ONLY",
}
_TOO_MANY_PARTITIONS: Final = "Too many partitions"  # comes with code 252 as well
# By then the rows are in the table, under their token. The same INSERT, once the view
# is mended, brings them into the view and nowhere else.
_IN_A_VIEW: Final = "while pushing to view"


def classify(error: Exception) -> Failure:
    """Return what an error of one attempt means for its block."""
    return Failure(_find_kind(error), _shorten(error))


def _find_kind(error: Exception) -> FailureKind:
    if isinstance(error, driver_errors.Error | ClickHouseRefusedError):
        return _judge_code(error.code or 0, str(error))
    if isinstance(error, ClickHouseUnreachableError | ArchiveUnwritableError):
        return FailureKind.TRANSIENT
    if isinstance(error, JournalDamagedError | ClickHouseError):
        return FailureKind.FATAL
    if isinstance(error, TooManyDeadLettersError):
        return FailureKind.REJECTED
    if isinstance(error, (JournalError, MemoryError, *CONNECTION_ERRORS)):
        return FailureKind.TRANSIENT
    # What remains is raised while the rows are decoded and encoded.
    return FailureKind.REJECTED


def _judge_code(code: int, message: str) -> FailureKind:
    if code in _TRANSIENT_CODES and _TOO_MANY_PARTITIONS not in message:
        return FailureKind.TRANSIENT
    if code in _REJECTED_CODES and _IN_A_VIEW not in message:
        return FailureKind.REJECTED
    return FailureKind.FATAL


def _shorten(error: Exception) -> str:
    # ClickHouse quotes the values of the row, which no log needs to know.
    line = " ".join(first_line(error).partition(" Column values:")[0].split())
    code = getattr(error, "code", None)
    named = f"code {code}: {line}" if code else line or type(error).__name__
    return named[:MAX_MESSAGE_CHARS]
