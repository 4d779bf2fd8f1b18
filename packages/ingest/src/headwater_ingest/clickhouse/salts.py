"""The queries on the table `salts`.

Salts travel as data, never in the text of a query, which servers write to their logs.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

from headwater_ingest.clickhouse.client import Client

_EPOCH: Final = date(1970, 1, 1)
_READ: Final = """
    SELECT day, argMin(salt, (created_at, salt)) FROM salts
    WHERE day >= %(since)s
    GROUP BY day
"""
_ADD: Final = "INSERT INTO salts (day, salt) VALUES"
# By the server's clock: a node whose own is wrong would drop what others need.
_OLD: Final = """
    SELECT DISTINCT toString(day) FROM salts WHERE day + 1 < toDate(now(), 'UTC')
"""


def read_salts(client: Client, *, since: int) -> Mapping[int, bytes]:
    """Return the salt that counts for each day from `since` on, in days since 1970."""
    rows = client.execute(_READ, {"since": _to_date(since)})
    return {(day - _EPOCH).days: bytes.fromhex(salt) for day, salt in rows}


def add_salts(client: Client, salts: Mapping[int, bytes]) -> None:
    """Write a salt for some days. Whether it counts is for `read_salts` to say."""
    days = [_to_date(day) for day in salts]
    texts = [salt.hex() for salt in salts.values()]
    client.execute(_ADD, [days, texts], columnar=True)


def drop_old_salts(client: Client) -> None:
    """Drop the salts of the day before yesterday, and of all days before."""
    for (day,) in client.execute(_OLD):
        client.execute(f"ALTER TABLE salts DROP PARTITION '{day}'")


def _to_date(day: int) -> date:
    return _EPOCH + timedelta(days=day)
