"""The queries that take a person out of every table."""

from collections.abc import Sequence
from typing import Final

from headwater_ingest.clickhouse.client import Client
from headwater_ingest.clickhouse.mutations import (
    Deletion,
    delete_by_values,
    delete_rows,
)
from headwater_ingest.clickhouse.template import Topology

_LINKED: Final = """
    SELECT distinct_id FROM person_ids
    WHERE site_id = %(site)s AND person_id IN (
        SELECT person_id FROM person_ids
        WHERE site_id = %(site)s AND distinct_id = %(id)s
    )
    ORDER BY distinct_id
"""
_SESSIONS: Final = """
    SELECT DISTINCT session_id FROM events
    WHERE site_id = %(site)s AND distinct_id IN %(ids)s AND session_id != 0
"""
_GROUP_EVENTS: Final = """
    SELECT DISTINCT toString(toUInt128(event_id)) FROM events
    WHERE site_id = %(site)s AND distinct_id IN %(ids)s AND name = '$groupidentify'
"""
_FEED: Final = """
    SELECT as_select, database FROM system.tables
    WHERE database = currentDatabase() AND name = 'session_states_feed'
"""
# As text: a literal of more than 64 bits would be a rounded number.
_SEQ: Final = "toString(seq)"
_AT_ONCE: Final = 1000


def find_linked(client: Client, site_id: int, distinct_id: str) -> list[str]:
    """Return all ids of a person of whom one is known, that one included."""
    rows = client.execute(_LINKED, {"site": site_id, "id": distinct_id})
    return sorted({distinct_id, *(row[0] for row in rows)})


def count_people(client: Client, site_id: int, ids: Sequence[str]) -> int:
    """Return how many events some distinct ids of a site have."""
    [(events,)] = client.execute(
        "SELECT count() FROM events "
        "WHERE site_id = %(site)s AND distinct_id IN %(ids)s",
        {"site": site_id, "ids": tuple(ids)},
    )
    return int(events)


def delete_people(
    client: Client, site_id: int, ids: Sequence[str], topology: Topology
) -> dict[str, int]:
    """Delete what came from some distinct ids, and wait until it is gone.

    The events go last: whoever is stopped on the way finds them again, and by them all
    the rest. A session that others share is made anew of what is left of it, first.

    Returns:
        How many rows of each table there were.

    Raises:
        MutationFailedError: ClickHouse cannot do it; call it again.
    """
    person = {"site": site_id, "ids": tuple(ids)}
    sessions = [row[0] for row in client.execute(_SESSIONS, person)]
    group_events = [row[0] for row in client.execute(_GROUP_EVENTS, person)]
    is_person = "site_id = %(site)s AND distinct_id IN %(ids)s"
    is_link = "site_id = %(site)s AND (distinct_id IN %(ids)s OR alias IN %(ids)s)"
    steps: dict[str, list[Deletion]] = {
        "group_ops": [*delete_by_values("group_ops", _SEQ, group_events, site_id)],
        "person_ops": [Deletion("person_ops", is_person, person)],
        "person_aliases": [Deletion("person_aliases", is_link, person)],
        "session_states": [
            *delete_by_values("session_states", "session_id", sessions, site_id)
        ],
        "events": [Deletion("events", is_person, person)],
    }
    deleted = {}
    for table, deletions in steps.items():
        if table == "events" and not topology.cluster:
            _restore_sessions(client, sessions, site_id=site_id, ids=ids)
        deleted[table] = delete_rows(client, deletions, topology)
    return deleted


def _restore_sessions(
    client: Client, sessions: Sequence[int], *, site_id: int, ids: Sequence[str]
) -> None:
    """Make the states of sessions anew of the events that stay."""
    [(select, database)] = client.execute(_FEED)
    others = ", ".join(map(_quote, ids))
    for start in range(0, len(sessions), _AT_ONCE):
        some = ", ".join(map(str, sessions[start : start + _AT_ONCE]))
        rows = (
            f"site_id = {site_id} AND session_id IN ({some}) "
            f"AND distinct_id NOT IN ({others})"
        )
        filters = f"{{{_quote(f'{database}.events')}: {_quote(rows)}}}"
        client.execute(
            f"INSERT INTO session_states {select}",
            settings={
                "additional_table_filters": filters,
                # Equal states may have been there before, and are wanted again.
                "insert_deduplicate": 0,
                "deduplicate_insert": "disable",
            },
        )


def _quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
