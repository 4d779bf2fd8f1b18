"""Asks which events are stored, so that what is sent once more is not there twice."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from headwater_ingest.clickhouse.client import Client

EventKey = tuple[int, UUID]
"""Site and event id: ids count within a site."""

# By time and site the server finds the few parts in which the events can be at all.
_QUERY: Final = """
    SELECT DISTINCT site_id, event_id FROM events
    WHERE site_id IN %(sites)s
        AND timestamp >= fromUnixTimestamp64Milli(toInt64(%(from)s))
        AND timestamp <= fromUnixTimestamp64Milli(toInt64(%(to)s))
        AND (site_id, event_id) GLOBAL IN wanted
"""


def find_stored(
    client: Client, events: Sequence[EventKey], times: Sequence[int]
) -> set[EventKey]:
    """Return those of some events that are in the table `events`.

    Args:
        client: A connection.
        events: The events.
        times: Their times, epoch ms.
    """
    if not events:
        return set()
    wanted = {
        "name": "wanted",
        "structure": [("site_id", "UInt64"), ("event_id", "UUID")],
        "data": [{"site_id": site, "event_id": event} for site, event in events],
    }
    parameters = {
        "sites": tuple({site for site, _ in events}),
        "from": min(times),
        "to": max(times),
    }
    return set(client.execute(_QUERY, parameters, external_tables=[wanted]))
