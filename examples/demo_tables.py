"""What arrived, as tables: from ClickHouse, and from the counters of the service."""

from collections.abc import Sequence
from typing import Final

import click
from examples.demo_service import Service

_BAR_CHARS: Final = 40
_COUNTERS: Final = {
    "accepted": "accepted",
    "duplicates": "duplicate",
    "dropped": "dropped",
    "invalid": "invalid",
}
_BY_NAME: Final = """
    SELECT name, count(), uniqExact(user_id), sum(toFloat64OrZero(props['revenue']))
    FROM events_unique GROUP BY name WITH TOTALS ORDER BY count() DESC, name
"""
_BY_MINUTE: Final = """
    SELECT toStartOfMinute(timestamp) AS minute, count()
    FROM events_unique GROUP BY minute ORDER BY minute DESC LIMIT 12
"""


def print_tables(service: Service) -> None:
    """Print the events by name and by minute, and what the service has counted."""
    with service.clickhouse() as clickhouse:
        names = clickhouse.execute(_BY_NAME)
        minutes = clickhouse.execute(_BY_MINUTE)
    _print_table(
        ("Event", "events", "distinct ids", "revenue"),
        [
            (
                name or "all",
                f"{events:,}",
                f"{ids:,}",
                f"{revenue:,.2f}" if revenue else "",
            )
            for name, events, ids, revenue in names
        ],
    )
    busiest = max(events for _, events in minutes)
    _print_table(
        ("Minute", "events", ""),
        [
            (f"{minute.astimezone():%H:%M}", f"{events:,}", _bar(events / busiest))
            for minute, events in reversed(minutes)
        ],
    )
    _print_table(
        ("Service", "events"),
        [
            (name, f"{service.count_events(outcome):,}")
            for name, outcome in _COUNTERS.items()
        ],
    )


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first column is text, the next are numbers, bars are last."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    click.echo()
    for row in (head, *rows):
        first, *others = (
            text.ljust(width) if index == 0 or not head[index] else text.rjust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        line = f"  {first}  {'  '.join(others)}".rstrip()
        click.secho(line, bold=row is head or None)


def _bar(share: float) -> str:
    return "█" * max(1, round(share * _BAR_CHARS))
