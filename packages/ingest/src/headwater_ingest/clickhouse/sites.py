"""The queries on the tables `sites` and `site_usage`."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from headwater_ingest.clickhouse.client import Client
from headwater_ingest.clickhouse.session import open_session
from headwater_ingest.clickhouse.url import ClickHouseUrl
from headwater_ingest.sites.record import SiteRecord, WriteKey

Fingerprint = tuple[int, int]
"""Differs whenever a site was written; cheap to ask for."""

_COLUMNS: Final = SiteRecord.__struct_fields__
_READ: Final = f"SELECT {', '.join(_COLUMNS)} FROM sites FINAL"  # noqa: S608 - our own words
_WRITE: Final = f"INSERT INTO sites ({', '.join(_COLUMNS)}) VALUES"
_FINGERPRINT: Final = "SELECT count(), groupBitXor(sipHash64(id, version)) FROM sites"
_USAGE: Final = """
    SELECT site_id, sum(accepted) FROM site_usage
    WHERE month = %(month)s AND site_id IN %(ids)s
    GROUP BY site_id
"""
_FLAGS: Final = ("consolidated", "removed")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def read_fingerprint(client: Client) -> Fingerprint:
    """Return what tells the present sites from other ones."""
    [(count, mixed)] = client.execute(_FINGERPRINT)
    return count, mixed


def read_records(client: Client) -> list[SiteRecord]:
    """Return all sites, removed ones included."""
    return [
        _to_record(dict(zip(_COLUMNS, row, strict=True)))
        for row in client.execute(_READ)
    ]


def write_records(client: Client, records: Sequence[SiteRecord]) -> None:
    """Write some sites; of each the record with the greatest version counts."""
    columns = [[_to_column(name, each) for each in records] for name in _COLUMNS]
    if records:
        client.execute(_WRITE, columns, columnar=True)


def read_usage(client: Client, month: date, ids: Collection[int]) -> Mapping[int, int]:
    """Return how many events of some sites all nodes have accepted in a month.

    Args:
        client: A connection.
        month: Any day of it.
        ids: The sites. One that has had no event is missing from the answer.
    """
    if not ids:
        return {}
    sites = {"month": month.replace(day=1), "ids": tuple(ids)}
    return dict(client.execute(_USAGE, sites))


class ClickHouseSites:
    """The table of sites, for those who change it: one connection for each call."""

    def __init__(self, url: ClickHouseUrl) -> None:
        self._url = url

    def read(self) -> list[SiteRecord]:
        """Return all sites, removed ones included.

        Raises:
            ClickHouseError: They cannot be read.
        """
        with open_session(self._url) as client:
            return read_records(client)

    def write(self, records: Sequence[SiteRecord]) -> None:
        """Write some sites.

        Raises:
            ClickHouseError: That failed; it may have happened all the same.
        """
        with open_session(self._url) as client:
            write_records(client, records)


def _to_record(row: dict[str, Any]) -> SiteRecord:
    keys = tuple(WriteKey(digest, _to_ms(end)) for digest, end in row["write_keys"])
    lists = {key: tuple(value) for key, value in row.items() if isinstance(value, list)}
    # The driver gives 0 and 1 for a Bool.
    flags = {key: bool(row[key]) for key in _FLAGS}
    return SiteRecord(**{**row, **lists, **flags, "write_keys": keys})


def _to_ms(time: datetime | None) -> int | None:
    return None if time is None else (time - _EPOCH) // timedelta(milliseconds=1)


def _to_column(name: str, record: SiteRecord) -> object:
    if name == "write_keys":
        return [(key.digest, key.valid_until_ms) for key in record.write_keys]
    value = getattr(record, name)
    return list(value) if isinstance(value, tuple) else value
