"""Columns that are encoded at once, beside what the driver makes of them one by one."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from clickhouse_driver import Client as DriverClient
from clickhouse_driver.block import ColumnOrientedBlock
from clickhouse_driver.bufferedwriter import BufferedSocketWriter
from clickhouse_driver.columns.service import write_column
from clickhouse_driver.defines import CLIENT_REVISION
from clickhouse_driver.errors import TypeMismatchError
from clickhouse_driver.streams.native import BlockOutputStream
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.clickhouse.client import Client
from headwater_ingest.clickhouse.columns import (
    ENCODERS,
    ColumnStream,
    encode_columns_at_once,
)
from headwater_ingest.rows import COLUMNS as TABLE

CONTEXT = DriverClient("unused").connection.context
CONTEXT.server_info = SimpleNamespace(used_revision=CLIENT_REVISION)
COLUMNS = {
    "UUID": st.uuids(),
    "DateTime64(3, 'UTC')": st.integers(-(2**63), 2**63 - 1),
    "LowCardinality(String)": st.text(max_size=200),
    "Map(String, String)": st.dictionaries(st.text(max_size=200), st.text()),
}


class Wire:
    """A socket that keeps what is sent."""

    def __init__(self) -> None:
        self.sent = b""

    def sendall(self, part: bytes) -> None:
        self.sent += part


def bytes_of(encode: Any) -> bytes:
    wire = Wire()
    buffer = BufferedSocketWriter(wire, 1 << 16)
    encode(buffer)
    buffer.flush()
    return wire.sent


def as_driver(kind: str, values: list[Any]) -> bytes:
    return bytes_of(lambda buffer: write_column(CONTEXT, "", kind, values, buffer))


def at_once(kind: str, values: list[Any]) -> bytes:
    return bytes_of(lambda buffer: ENCODERS[kind](values, buffer))


def test_there_is_a_strategy_for_each_type() -> None:
    assert COLUMNS.keys() == ENCODERS.keys()


@given(st.data())
@pytest.mark.parametrize("kind", COLUMNS)
def test_the_bytes_are_those_of_the_driver(kind: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(COLUMNS[kind], min_size=1, max_size=40))
    ours = [each.bytes if isinstance(each, UUID) else each for each in values]

    assert at_once(kind, ours) == as_driver(kind, list(values))


@pytest.mark.parametrize("different", [255, 257, 65_535, 65_537])
def test_keys_are_as_wide_as_the_number_of_values_asks(different: int) -> None:
    values = [f"value {number}" for number in range(different)]

    sent = at_once("LowCardinality(String)", values)

    assert sent == as_driver("LowCardinality(String)", values)


@pytest.mark.parametrize("different", [256, 65_536])
@pytest.mark.clickhouse
def test_the_widest_number_of_keys_of_a_width_arrives(
    client: Client, different: int
) -> None:
    # The driver takes the next width already.
    names = [f"{number:05}" for number in range(different)]
    encode_columns_at_once(client)
    client.execute("INSERT INTO events (name) VALUES", [names], columnar=True)

    [(first, last, found)] = client.execute(
        "SELECT min(name), max(name), uniqExact(name) FROM events"
    )
    assert (first, last, found) == (names[0], names[-1], different)


def test_the_types_are_those_of_the_table() -> None:
    assert ENCODERS.keys() <= {column.type for column in TABLE}


def test_a_block_is_the_one_of_the_driver() -> None:
    ids = [uuid4(), uuid4()]
    kinds = [
        ("event_id", "UUID"),
        ("site_id", "UInt64"),
        ("name", "LowCardinality(String)"),
        ("props", "Map(String, String)"),
        ("pathname", "String"),
    ]
    others = [[7, 8], ["a", "a"], [{"a": "b"}, {}], ["/", ""]]

    sent = stream_of(
        ColumnStream,
        ColumnOrientedBlock(kinds, [[each.bytes for each in ids], *others]),
    )

    assert sent == stream_of(
        BlockOutputStream, ColumnOrientedBlock(kinds, [ids, *others])
    )


def test_the_block_that_ends_an_insert_is_the_one_of_the_driver() -> None:
    assert stream_of(ColumnStream, ColumnOrientedBlock()) == stream_of(
        BlockOutputStream, ColumnOrientedBlock()
    )


def stream_of(kind: type[BlockOutputStream], block: ColumnOrientedBlock) -> bytes:
    return bytes_of(lambda buffer: kind(buffer, CONTEXT).write(block))


def test_a_value_that_does_not_fit_is_named_by_its_column() -> None:
    kinds = [("timestamp", "DateTime64(3, 'UTC')")]

    with pytest.raises(TypeMismatchError, match="column timestamp"):
        stream_of(ColumnStream, ColumnOrientedBlock(kinds, [[2**63]]))


@pytest.mark.clickhouse
def test_a_connection_that_opens_anew_still_encodes_at_once(client: Client) -> None:
    encode_columns_at_once(client)
    client.disconnect()

    ids = [uuid4()]
    raw = [[each.bytes for each in ids]]
    client.execute("INSERT INTO events (event_id) VALUES", raw, columnar=True)

    assert client.execute("SELECT event_id FROM events") == [(each,) for each in ids]
