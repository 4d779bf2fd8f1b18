"""Turns the rows of a block into INSERTs that ClickHouse can take.

A column that has its default in every row is left out: the table has the same default,
and the driver and the server spend 0.1 µs per row on each such column (20 of them for
most events).

ClickHouse makes a part per partition, the partition is the month, and it refuses an
INSERT with more than 100 of them. A block spans more only when somebody sends history.
It is then cut by calendar year. All this depends on the rows of the block alone: when
it is sent again, it becomes the same INSERTs with the same tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from headwater_ingest.journal.counts import Key
from headwater_ingest.rows import COLUMNS, EVENT_ID, Rows, merge_used_columns

TIMESTAMP: Final = "timestamp"
EVENTS: Final = "events"
COUNTERS: Final = "ingest_counters"

_COUNTER_COLUMNS: Final = ("minute", "site_id", "outcome", "reason", "count")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Insert:
    """Rows that go into ClickHouse together.

    Attributes:
        token: What ClickHouse knows them by; the same rows have the same token.
        names: The columns that are sent, in the order of the table.
        columns: The values of each.
        table: Where they go.
    """

    token: str
    names: tuple[str, ...]
    columns: list[list[Any]]
    table: str = EVENTS

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        return len(self.columns[0])

    def halves(self) -> "tuple[Insert, Insert]":
        """Return both halves of two rows or more, with tokens that follow from ours."""
        middle = self.row_count // 2
        return (
            self._part(slice(None, middle), "0"),
            self._part(slice(middle, None), "1"),
        )

    def _part(self, rows: slice, name: str) -> "Insert":
        columns = [column[rows] for column in self.columns]
        return replace(self, token=f"{self.token}/{name}", columns=columns)


def make_inserts(sets: Sequence[Rows], token: str) -> list[Insert]:
    """Return one INSERT, or one per year in order when the rows span several.

    Args:
        sets: The rows of the block; it may have none.
        token: The token of the block.
    """
    if not sets:
        return []
    used = merge_used_columns(sets)
    used.setdefault(TIMESTAMP, [0] * len(used[EVENT_ID]))
    names = tuple(column.name for column in COLUMNS if column.name in used)
    return _cut_by_year(Insert(token, names, [used[name] for name in names]))


def make_counter_insert(minutes: Mapping[int, Mapping[Key, int]], token: str) -> Insert:
    """Return the INSERT of what became of events.

    Args:
        minutes: The sums of each minute, of which there is one at least.
        token: The token of the block. The counters are in another table, and have one
            of their own that follows from it.
    """
    rows = [
        (minute, *key, events)
        for minute, sums in minutes.items()
        for key, events in sums.items()
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    return Insert(f"{token}/{COUNTERS}", _COUNTER_COLUMNS, columns, COUNTERS)


def _cut_by_year(insert: Insert) -> list[Insert]:
    times = insert.columns[insert.names.index(TIMESTAMP)]
    if _year_of(min(times)) == _year_of(max(times)):
        return [insert]
    rows_of: dict[int, list[int]] = {}
    for row, time_ms in enumerate(times):
        rows_of.setdefault(_year_of(time_ms), []).append(row)
    return [
        _take(insert, rows, f"{insert.token}/{year}")
        for year, rows in sorted(rows_of.items())
    ]


def _take(insert: Insert, rows: Sequence[int], token: str) -> Insert:
    columns = [[column[row] for row in rows] for column in insert.columns]
    return Insert(token, insert.names, columns)


def _year_of(time_ms: int) -> int:
    return (_EPOCH + timedelta(milliseconds=time_ms)).year
