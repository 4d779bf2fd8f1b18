"""What is older than a site keeps goes; everything else stays, whatever arrives."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from headwater_ingest.clickhouse.client import Client
from headwater_ingest.clickhouse.retention import (
    Expiry,
    delete_expired,
    find_cutoffs,
)
from headwater_ingest.clickhouse.template import SINGLE
from headwater_ingest.sites.record import SiteRecord

pytestmark = pytest.mark.clickhouse

TODAY = date(2026, 9, 21)
KEEPS_90 = SiteRecord(id=1, domain="a.example", retention_days=90)
KEEPS_ALL = SiteRecord(id=2, domain="b.example")
CUTOFFS = find_cutoffs([KEEPS_90, KEEPS_ALL], TODAY)  # 23 June

Store = Callable[..., None]


def ms(day: str) -> int:
    return round(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp() * 1000)


def event(site_id: int, day: str, **columns: Any) -> dict[str, Any]:
    return {
        "event_id": uuid4(),
        "site_id": site_id,
        "name": "pageview",
        "timestamp": ms(day),
        "session_id": ms(day) // 86_400_000,
        **columns,
    }


def stored(client: Client) -> set[UUID]:
    return {row[0] for row in client.execute("SELECT event_id FROM events")}


def ids(events: list[dict[str, Any]]) -> set[UUID]:
    return {each["event_id"] for each in events}


def test_a_cutoff_is_the_beginning_of_a_day_and_only_for_those_who_have_one() -> None:
    assert dict(CUTOFFS) == {1: ms("2026-06-23")}
    gone = SiteRecord(id=3, domain="c.example", retention_days=1, removed=True)
    assert find_cutoffs([gone], TODAY) == {3: ms("2026-09-20")}


def test_expired_events_and_sessions_are_deleted_and_others_stay(
    client: Client, store: Store
) -> None:
    old = [event(1, "2025-01-05"), event(1, "2026-06-22")]
    young = [event(1, "2026-06-23"), event(1, "2026-09-20")]
    others = [event(2, "2025-01-05"), event(2, "2026-06-22")]
    store([*old, *young, *others], "token")

    expiry = delete_expired(client, CUTOFFS, SINGLE)

    assert stored(client) == ids(young + others)
    assert client.execute(
        "SELECT site_id, count() FROM sessions GROUP BY ALL ORDER BY ALL"
    ) == [
        (1, 2),
        (2, 2),
    ]
    assert expiry == Expiry(parts=0, rows=4)
    assert delete_expired(client, CUTOFFS, SINGLE) == Expiry()


def test_a_month_that_is_over_for_all_its_sites_is_dropped_without_a_mutation(
    client: Client, store: Store
) -> None:
    old = [event(1, "2025-01-05"), event(1, "2025-01-06"), event(1, "2025-02-06")]
    young = [event(1, "2026-09-20"), event(2, "2025-03-06")]
    store([*old, *young], "token")

    expiry = delete_expired(client, CUTOFFS, SINGLE)

    assert stored(client) == ids(young)
    assert expiry == Expiry(parts=4, rows=0)
    assert client.execute(
        "SELECT count() FROM system.mutations WHERE database = currentDatabase()"
    ) == [(0,)]


def test_sites_that_keep_everything_cost_nothing(client: Client) -> None:
    assert delete_expired(client, {}, SINGLE) == Expiry()


def test_the_day_is_that_of_utc() -> None:
    assert datetime.fromtimestamp(CUTOFFS[1] / 1000, UTC).hour == 0
