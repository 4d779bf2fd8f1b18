"""Deletes rows from tables, and waits until they are gone."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headwater_ingest.clickhouse.client import Client
from headwater_ingest.clickhouse.template import Topology, quote_name
from headwater_ingest.errors import MutationFailedError

_POLL_S: Final = 0.2
_AT_ONCE: Final = 1000  # values in one condition


@dataclass(frozen=True, slots=True)
class Deletion:
    """Rows that are to go.

    Attributes:
        table: Their table.
        condition: What they have in common, with `%(name)s` for values.
        values: Those values.
    """

    table: str
    condition: str
    values: dict[str, object]


def delete_rows(
    client: Client,
    deletions: Sequence[Deletion],
    topology: Topology,
    *,
    wait: Callable[[float], object] = time.sleep,
) -> int:
    """Delete rows, wait until no part of the tables has them, and say how many.

    Args:
        client: A connection.
        deletions: Which rows.
        topology: What the tables are spread over.
        wait: Waits for some seconds.

    Raises:
        MutationFailedError: ClickHouse cannot do it; some rows may be gone.
    """
    counts = [_count(client, each) for each in deletions]
    begun = [each for each, rows in zip(deletions, counts, strict=True) if rows]
    for each in begun:
        _start(client, each, topology)
    tables = {local_name(each.table, topology) for each in begun}
    while running := _find_running(client, tables, topology):
        for table, reason in running:
            if reason:
                raise MutationFailedError(
                    f"ClickHouse cannot delete rows of {table}: {reason}"
                )
        wait(_POLL_S)
    return sum(counts)


def delete_by_values(
    table: str, column: str, values: Sequence[object], site_id: int
) -> Iterable[Deletion]:
    """Yield what deletes the rows of a site with certain values in a column."""
    for start in range(0, len(values), _AT_ONCE):
        some = tuple(values[start : start + _AT_ONCE])
        yield Deletion(
            table,
            f"site_id = %(site)s AND {column} IN %(some)s",
            {"site": site_id, "some": some},
        )


def local_name(table: str, topology: Topology) -> str:
    """Return the table that holds the rows, behind the one that is asked."""
    return f"{table}_local" if topology.cluster else table


def _count(client: Client, deletion: Deletion) -> int:
    query = f"SELECT count() FROM {deletion.table} WHERE {deletion.condition}"  # noqa: S608 - our own words
    [(rows,)] = client.execute(query, deletion.values)
    return int(rows)


def _start(client: Client, deletion: Deletion, topology: Topology) -> None:
    cluster = f"ON CLUSTER {quote_name(topology.cluster)}" if topology.cluster else ""
    client.execute(
        f"ALTER TABLE {local_name(deletion.table, topology)} {cluster} "
        f"DELETE WHERE {deletion.condition}",
        deletion.values,
        settings={"mutations_sync": 0},
    )


def _find_running(
    client: Client, tables: set[str], topology: Topology
) -> list[tuple[Any, Any]]:
    if not tables:
        return []
    everywhere = (
        f"clusterAllReplicas({quote_name(topology.cluster)}, system.mutations)"
        if topology.cluster
        else "system.mutations"
    )
    found: list[tuple[Any, Any]] = client.execute(
        f"SELECT table, latest_fail_reason FROM {everywhere} "  # noqa: S608 - our own words
        "WHERE database = currentDatabase() AND table IN %(tables)s AND NOT is_done",
        {"tables": tuple(tables)},
    )
    return found
