"""The rows of the events table, in the shape in which they travel.

The pipeline makes rows as columns, one set per batch: what is the same in every row
stands once, and what has its default does not stand at all. The journal stores them
so, and the writer merges many sets into the full columns of one INSERT. (Columns with
constants instead of rows save 8 of 10 µs per event in the writer.)

Encoded form, MessagePack: `[[event id, ...], {column: value}, {column: [value, ...]}]`,
with ids as 16 bytes and times as integer milliseconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec

EVENT_ID: Final = "event_id"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the events table.

    Attributes:
        name: Its name.
        type: Its ClickHouse type.
        default: Its value in a row that does not say otherwise.
    """

    name: str
    type: str
    default: object


_LOW: Final = "LowCardinality(String)"
_MAP: Final = "Map(String, String)"
_MONEY: Final = "Nullable(Decimal(18, 3))"
_TIME: Final = "DateTime64(3, 'UTC')"

COLUMNS: Final = (
    Column("site_id", "UInt64", 0),
    Column(EVENT_ID, "UUID", bytes(16)),
    Column("name", _LOW, ""),
    Column("timestamp", _TIME, 0),
    Column("received_at", _TIME, 0),
    Column("user_id", "UInt64", 0),
    Column("session_id", "UInt64", 0),
    Column("distinct_id", "String", ""),
    Column("hostname", _LOW, ""),
    Column("pathname", "String", ""),
    Column("props", _MAP, {}),
    Column("properties", "String", ""),
    Column("groups", _MAP, {}),
    Column("interactive", "Bool", default=True),
    Column("scroll_depth", "UInt8", 0),
    Column("engagement_time", "UInt32", 0),
    Column("revenue_source_amount", _MONEY, None),
    Column("revenue_source_currency", "FixedString(3)", ""),
    Column("revenue_reporting_amount", _MONEY, None),
    Column("revenue_reporting_currency", "FixedString(3)", ""),
    Column("referrer", "String", ""),
    Column("referrer_source", _LOW, ""),
    Column("acquisition_channel", _LOW, ""),
    Column("click_id_param", _LOW, ""),
    Column("utm_medium", _LOW, ""),
    Column("utm_source", _LOW, ""),
    Column("utm_campaign", _LOW, ""),
    Column("utm_content", _LOW, ""),
    Column("utm_term", _LOW, ""),
    Column("country_code", "FixedString(2)", ""),
    Column("subdivision1_code", _LOW, ""),
    Column("subdivision2_code", _LOW, ""),
    Column("city_geoname_id", "UInt32", 0),
    Column("screen_size", _LOW, ""),
    Column("operating_system", _LOW, ""),
    Column("operating_system_version", _LOW, ""),
    Column("browser", _LOW, ""),
    Column("browser_version", _LOW, ""),
    Column("sdk", _LOW, ""),
    Column("sdk_version", _LOW, ""),
)
"""The columns that are inserted, in the order of the table."""

DEFAULTS: Final = {column.name: column.default for column in COLUMNS}
"""The value of each column in a row that does not say otherwise."""


_Id = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]


class Rows(msgspec.Struct, array_like=True, frozen=True):
    """Some rows of the events table, as columns.

    Attributes:
        event_id: The id of each row, 16 bytes; their number is the number of rows.
        constants: Columns that have one value in all rows.
        varying: Columns that have a value per row. A column in neither has its
            default.
    """

    event_id: list[_Id]
    constants: dict[str, Any]
    varying: dict[str, list[Any]]


class Row(msgspec.Struct, frozen=True):
    """One row, made where one event makes a request of its own.

    Attributes:
        event_id: Its id, 16 bytes.
        columns: Its other columns; one that is not there has its default.
    """

    event_id: bytes
    columns: dict[str, Any]


encode_rows: Final = msgspec.msgpack.Encoder().encode
"""Encodes `Rows` for the journal."""


def encode_row(row: Row) -> bytes:
    """Encodes one row as the only one of its `Rows`."""
    return _encode_row(([row.event_id], row.columns, _NO_COLUMNS))


_encode_row: Final = msgspec.msgpack.Encoder().encode
_NO_COLUMNS: Final[dict[str, list[Any]]] = {}

decode_rows: Final = msgspec.msgpack.Decoder(Rows).decode
"""Decodes what `encode_rows` made."""


def divide_columns(
    columns: Mapping[str, list[Any]],
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Returns the values that are the same in all rows, and the columns that vary.

    Args:
        columns: By name, with one row or more.
    """
    constants: dict[str, Any] = {}
    varying: dict[str, list[Any]] = {}
    for name, column in columns.items():
        first = column[0]
        # The last value tells most often that they are not all the same.
        if column[-1] == first and column.count(first) == len(column):
            constants[name] = first
        else:
            varying[name] = column
    return constants, varying


def keep_rows(rows: Rows, indices: Sequence[int]) -> Rows:
    """Returns the rows at `indices`, in that order."""
    return Rows(
        [rows.event_id[index] for index in indices],
        rows.constants,
        {
            name: [column[index] for index in indices]
            for name, column in rows.varying.items()
        },
    )


def merge_columns(sets: Iterable[Rows]) -> list[list[Any]]:
    """Returns one full list per column, in the order of `COLUMNS`.

    The lists share their values with `sets`; whoever takes them may not change those.
    """
    sets = list(sets)
    used = merge_used_columns(sets)
    row_count = len(used[EVENT_ID])
    return [
        used[each.name] if each.name in used else [each.default] * row_count
        for each in COLUMNS
    ]


def merge_used_columns(sets: Sequence[Rows]) -> dict[str, list[Any]]:
    """Returns a full list for each column that is in one of the sets, in any order.

    The cost is per value that is there: web events come in sets of one row, with values
    for half of the columns. The lists share their values with `sets`.
    """
    ids = [each for rows in sets for each in rows.event_id]
    columns = _Columns(len(ids))
    columns[EVENT_ID] = ids
    start = 0
    for rows in sets:
        count = len(rows.event_id)
        if count == 1:
            for name, value in rows.constants.items():
                columns[name][start] = value
        else:
            for name, value in rows.constants.items():
                columns[name][start : start + count] = [value] * count
        for name, values in rows.varying.items():
            columns[name][start : start + count] = values
        start += count
    for name in _MONEY_COLUMNS & columns.keys():
        columns[name] = [
            None if each is None else Decimal(each) for each in columns[name]
        ]
    return columns


class _Columns(dict[str, list[Any]]):
    """Columns by name; one that is asked for the first time has its default."""

    def __init__(self, row_count: int) -> None:
        super().__init__()
        self._row_count = row_count

    def __missing__(self, name: str) -> list[Any]:
        column = self[name] = [DEFAULTS.get(name)] * self._row_count
        return column


_MONEY_COLUMNS: Final = {column.name for column in COLUMNS if column.type == _MONEY}
