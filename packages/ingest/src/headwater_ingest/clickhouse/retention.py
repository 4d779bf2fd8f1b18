"""Deletes events and sessions whose time is up.

A part of a table in which all rows have expired is dropped whole, which costs nothing;
after a month has ended for every site in it, that is all of its partition. Rows in
between others are deleted by a mutation. Parts never change, so nothing is dropped that
was not looked at, whatever arrives meanwhile.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from clickhouse_driver.errors import ServerException

from headwater_ingest.clickhouse.client import Client
from headwater_ingest.clickhouse.mutations import Deletion, delete_rows, local_name
from headwater_ingest.clickhouse.template import Topology
from headwater_ingest.sites.record import SiteRecord

_TIMES: Final = {"events": "timestamp", "session_states": "latest"}
_NO_SUCH_PART: Final = 232  # it was merged meanwhile
_SITES_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Expiry:
    """What was deleted.

    Attributes:
        parts: Parts of tables that were dropped whole.
        rows: Rows that were deleted from other parts.
    """

    parts: int = 0
    rows: int = 0


def find_cutoffs(records: Iterable[SiteRecord], today: date) -> dict[int, int]:
    """Return for sites that do not keep events for ever when the kept ones begin.

    Args:
        records: The sites, also removed ones.
        today: The day in UTC.

    Returns:
        Epoch ms by site, always the beginning of a day.
    """
    return {
        each.id: _ms(today - timedelta(days=each.retention_days))
        for each in records
        if each.retention_days is not None
    }


def delete_expired(
    client: Client, cutoffs: Mapping[int, int], topology: Topology
) -> Expiry:
    """Delete what is older than the cutoff of its site, and wait until it is gone.

    Args:
        client: A connection.
        cutoffs: Epoch ms by site.
        topology: What the tables are spread over.

    Raises:
        MutationFailedError: ClickHouse cannot do it.
    """
    parts = rows = 0
    sites = sorted(cutoffs)
    for table, column in _TIMES.items():
        for start in range(0, len(sites), _SITES_AT_ONCE):
            some = {
                each: cutoffs[each] for each in sites[start : start + _SITES_AT_ONCE]
            }
            expired = _Expired(table, column, some)
            if not topology.cluster:  # where each server would have to be asked
                parts += _drop_parts(client, expired)
            rows += delete_rows(client, [expired.deletion], topology)
    return Expiry(parts, rows)


@dataclass(frozen=True, slots=True)
class _Expired:
    """Rows of a table whose time is up."""

    table: str
    column: str
    cutoffs: Mapping[int, int]

    @property
    def condition(self) -> str:
        return " OR ".join(
            f"(site_id = {site} AND {self.column} < "
            f"fromUnixTimestamp64Milli(toInt64({cutoff}), 'UTC'))"
            for site, cutoff in self.cutoffs.items()
        )

    @property
    def deletion(self) -> Deletion:
        return Deletion(self.table, self.condition, {})


def _drop_parts(client: Client, expired: _Expired) -> int:
    """Drop the parts that hold nothing else, and say how many there were."""
    table = local_name(expired.table, Topology())
    touched = client.execute(
        f"SELECT _part, count() FROM {table} WHERE {expired.condition} GROUP BY _part"  # noqa: S608 - numbers only
    )
    if not touched:
        return 0
    sizes = dict(
        client.execute(
            "SELECT name, rows FROM system.parts WHERE database = currentDatabase() "
            "AND table = %(table)s AND active",
            {"table": table},
        )
    )
    whole = [part for part, rows in touched if sizes.get(part) == rows]
    return sum(_drop_part(client, table, part) for part in whole)


def _drop_part(client: Client, table: str, part: str) -> bool:
    try:
        client.execute(f"ALTER TABLE {table} DROP PART %(part)s", {"part": part})
    except ServerException as error:
        if error.code != _NO_SUCH_PART:
            raise
        return False
    return True


def _ms(day: date) -> int:
    return round(datetime.combine(day, time(), UTC).timestamp() * 1000)
