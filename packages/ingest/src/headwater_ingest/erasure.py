"""Takes a person out of everything that this node and ClickHouse hold of them.

The service may run. What it has accepted before goes to ClickHouse first, so that
nothing comes after the deletion; what it accepts meanwhile is a new event.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headwater_ingest.archive import DIRECTORY_NAME, erase_rows
from headwater_ingest.clickhouse.client import ClickHouseUrl
from headwater_ingest.clickhouse.people import count_people, delete_people
from headwater_ingest.clickhouse.session import open_session
from headwater_ingest.clickhouse.template import Topology
from headwater_ingest.errors import RowsPendingError
from headwater_ingest.journal.dead_letters import open_dead_letters
from headwater_ingest.journal.pending import find_pending
from headwater_ingest.replay import open_replayer
from headwater_ingest.rows import Rows

WAIT_S: Final = 60.0

PATIENCE_S: Final = 300.0
"""Longest silence of ClickHouse while it looks for a person in large tables."""

_LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Erasure:
    """Who is to be erased.

    Attributes:
        site_id: Of this site.
        ids: Their distinct ids.
    """

    site_id: int
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EraseReceipt:
    """What was erased.

    Attributes:
        tables: Rows by table.
        dead_letters: Rows that ClickHouse had refused.
        archive: Rows in the archive.
        events_left: Events that have come since.
    """

    tables: dict[str, int]
    dead_letters: int
    archive: int
    events_left: int


def erase(
    erasure: Erasure, directory: Path, url: ClickHouseUrl, topology: Topology
) -> EraseReceipt:
    """Erase people, and wait until they are gone.

    It may be called again after any error.

    Args:
        erasure: Who.
        directory: The data directory of this node.
        url: Where ClickHouse is.
        topology: What its tables are spread over.

    Raises:
        RowsPendingError: Rows of the journal do not get to ClickHouse.
        ReplayInterruptedError: It does not take rows of a replay that was killed.
        HeadwaterError: ClickHouse, the journal or the archive is in trouble.
    """
    wait_until_written(directory)
    with open_replayer(directory, url) as replayer:
        replayer.finish()
        with open_dead_letters(directory) as letters:
            dead = letters.erase(erasure.site_id, erasure.ids)
    archived = erase_rows(directory / DIRECTORY_NAME, lambda rows: _find(erasure, rows))
    with open_session(url, timeout_s=PATIENCE_S) as client:
        tables = delete_people(client, erasure.site_id, erasure.ids, topology)
        left = count_people(client, erasure.site_id, erasure.ids)
    return EraseReceipt(tables, dead, archived, left)


def wait_until_written(
    directory: Path,
    *,
    timeout_s: float = WAIT_S,
    wait: Callable[[float], object] = time.sleep,
) -> None:
    """Wait until what the journal holds now has left it.

    Raises:
        RowsPendingError: It has not, within that time.
    """
    begun = find_pending(directory)
    deadline = time.monotonic() + timeout_s
    while begun is not None and (now := find_pending(directory)) is not None:
        if now[0] > begun[1]:
            return
        if time.monotonic() >= deadline:
            raise RowsPendingError(
                f"rows {now[0]} to {begun[1]} of the journal are not in ClickHouse: "
                "let the service run until they are (`headwater-ingest doctor`), and "
                "try again; nothing was erased"
            )
        wait(_LOOK_S)


def _find(erasure: Erasure, rows: Rows) -> Sequence[int]:
    """Return the places of rows that are to go."""
    count = len(rows.event_id)
    sites = rows.varying.get("site_id", [rows.constants.get("site_id", 0)] * count)
    people = rows.varying.get(
        "distinct_id", [rows.constants.get("distinct_id", "")] * count
    )
    return [
        index
        for index, (site, person) in enumerate(zip(sites, people, strict=True))
        if site == erasure.site_id and person in erasure.ids
    ]
