import socket
import struct

import pytest
from clickhouse_driver import errors

from headwater_ingest.clickhouse.client import Client
from headwater_ingest.errors import (
    ArchiveUnwritableError,
    ClickHouseRefusedError,
    ClickHouseTooOldError,
    ClickHouseUnreachableError,
    ClickHouseUrlError,
    JournalDamagedError,
    JournalLockedError,
    JournalUnwritableError,
    SchemaNewerError,
    TooManyDeadLettersError,
)
from headwater_ingest.writer import classify as classify_module
from headwater_ingest.writer.classify import MAX_MESSAGE_CHARS, FailureKind, classify


def server_error(code: int, message: str = "DB::Exception: no") -> Exception:
    return errors.ServerException(message, code)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("refused"),
        ConnectionResetError("reset"),
        BrokenPipeError("pipe"),
        EOFError("Unexpected EOF while reading bytes"),
        TimeoutError("timed out"),
        socket.gaierror("no such host"),
        MemoryError(),
        errors.NetworkError("no route"),
        errors.SocketTimeoutError("timed out"),
        errors.UnexpectedPacketFromServerError("half a packet"),
        server_error(159),
        server_error(202),
        server_error(241),
        server_error(242),
        server_error(252, "DB::Exception: Too many parts (3000) in all partitions"),
        server_error(394),
        server_error(999),
        ClickHouseUnreachableError("host:9000", "cannot reach ClickHouse"),
        ClickHouseRefusedError(202, "too many queries"),
        JournalUnwritableError("full"),
        JournalLockedError("in use"),
        ArchiveUnwritableError("full"),
    ],
    ids=repr,
)
def test_what_passes_is_transient(error: Exception) -> None:
    assert classify(error).kind is FailureKind.TRANSIENT


@pytest.mark.parametrize(
    "error",
    [
        server_error(53),
        server_error(70),
        server_error(252, "DB::Exception: Too many partitions for single INSERT block"),
        server_error(395),
        server_error(407),
        server_error(469),
        server_error(691),
        TooManyDeadLettersError("no", "too many"),
        errors.TypeMismatchError("Type mismatch in VALUES section"),
        errors.TooLargeStringSize("FixedString(2)"),
        struct.error("argument out of range"),
        TypeError("must be str"),
        ValueError("not a UUID"),
        AttributeError("'str' object has no attribute 'int'"),
        OverflowError("int too big to convert"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    ],
    ids=repr,
)
def test_what_is_wrong_with_the_rows_is_rejected(error: Exception) -> None:
    assert classify(error).kind is FailureKind.REJECTED


@pytest.mark.parametrize(
    "error",
    [
        server_error(16),
        server_error(1234567),
        server_error(395, "DB::Exception: no: while pushing to view headwater.mine"),
        SchemaNewerError("newer"),
        server_error(60),
        server_error(81),
        server_error(497),
        server_error(516),
        ClickHouseRefusedError(516, "wrong password"),
        ClickHouseTooOldError("too old"),
        ClickHouseUrlError("wrong"),
        JournalDamagedError("damaged"),
    ],
    ids=repr,
)
def test_what_needs_somebody_is_fatal(error: Exception) -> None:
    assert classify(error).kind is FailureKind.FATAL


def test_a_message_is_one_short_line_without_the_stack_trace() -> None:
    text = "DB::Exception: Too\nmany parts. Stack trace:\n\n0. DB::throw()" + "x" * 1000

    assert classify(server_error(252, text)).message == "code 252: Too many parts"
    long = classify(server_error(241, "y" * 1000)).message
    assert len(long) == MAX_MESSAGE_CHARS


def test_an_error_without_a_message_is_named() -> None:
    assert classify(MemoryError()).message == "MemoryError"


def test_the_values_that_clickhouse_quotes_are_not_repeated() -> None:
    text = "DB::Exception: Constraint `c` is violated. Column values: name = 'secret'"

    assert "secret" not in classify(server_error(469, text)).message


def test_no_code_is_in_two_lists() -> None:
    transient, rejected, fatal = (
        set(codes)
        for codes in (
            classify_module._TRANSIENT_CODES,
            classify_module._REJECTED_CODES,
            classify_module._FATAL_CODES,
        )
    )

    assert transient & rejected == {252}  # which the text tells apart
    assert not fatal & (transient | rejected)


@pytest.mark.clickhouse
def test_the_codes_mean_what_the_server_means(client: Client) -> None:
    ours = (
        classify_module._TRANSIENT_CODES
        | classify_module._REJECTED_CODES
        | classify_module._FATAL_CODES
    )

    theirs = client.execute(
        "SELECT number, errorCodeToName(toInt32(number)) FROM numbers(1100)"
    )

    assert ours.items() <= dict(theirs).items()
