"""Turns the columns of a block into INSERTs that ClickHouse can take.

ClickHouse makes a part per partition, the partition is the month, and it refuses an
INSERT with more than 100 of them. A block spans more only when somebody sends history.
It is then cut by calendar year, in a way that depends on its rows alone: a block that
is sent again is cut into the same INSERTs with the same tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from headwater_ingest.rows import COLUMNS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIMESTAMP: Final = [column.name for column in COLUMNS].index("timestamp")

Columns = Sequence[list[Any]]
"""One full list per column, in the order of `COLUMNS`."""


@dataclass(frozen=True, slots=True)
class Insert:
    """Rows that go into ClickHouse together.

    Attributes:
        token: What ClickHouse knows them by; the same rows have the same token.
        columns: Their values.
    """

    token: str
    columns: Columns

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        return len(self.columns[0])


def cut_by_year(columns: Columns, token: str) -> list[Insert]:
    """Return one INSERT, or one per year in order when the rows span several."""
    times = columns[_TIMESTAMP]
    if _year_of(min(times)) == _year_of(max(times)):
        return [Insert(token, columns)]
    rows_of: dict[int, list[int]] = {}
    for row, time_ms in enumerate(times):
        rows_of.setdefault(_year_of(time_ms), []).append(row)
    return [
        Insert(f"{token}/{year}", [[column[row] for row in rows] for column in columns])
        for year, rows in sorted(rows_of.items())
    ]


def _year_of(time_ms: int) -> int:
    return (_EPOCH + timedelta(milliseconds=time_ms)).year
