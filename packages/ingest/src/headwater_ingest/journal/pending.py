"""Which rows wait at this moment, for those who must know when they are gone."""

import sqlite3
from pathlib import Path

from headwater_ingest.journal.database import FILE_NAME, explain
from headwater_ingest.journal.peek import open_for_reading


def find_pending(directory: Path) -> tuple[int, int] | None:
    """Return the first and the last row that are not in ClickHouse; None without any.

    Raises:
        JournalError: If the file cannot be read.
    """
    path = directory / FILE_NAME
    if not path.exists():
        return None
    try:
        with open_for_reading(path) as connection:
            first, last = connection.execute(
                "SELECT min(first_row), max(first_row + row_count) - 1 FROM chunks "
                "WHERE byte_count > 0"
            ).fetchone()
    except sqlite3.Error as error:
        raise explain(error, path) from error
    return None if first is None else (first, last)
