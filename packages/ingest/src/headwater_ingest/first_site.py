"""The first site of all, written by the node that finds the table of sites empty.

Its file waits beside its place until the table has the site: what is cut short in
between, by a crash or by ClickHouse, is brought to its end by the next look. So no file
that nobody wrote takes a key or a domain from a site that others know.
"""

import time
from pathlib import Path

import structlog

from headwater_ingest.clickhouse.client import Client
from headwater_ingest.clickhouse.sites import read_records, write_records
from headwater_ingest.sites.record import SiteRecord
from headwater_ingest.sites.site_book import SiteBook
from headwater_ingest.sites.sites_file import SitesFile
from headwater_ingest.sites.sites_toml import (
    FIRST_DOMAIN,
    read_sites,
    write_first_file,
)

_log = structlog.stdlib.get_logger(__name__)


def begin_sites(
    client: Client, file: SitesFile, known: list[SiteRecord]
) -> list[SiteRecord]:
    """Begin with a site of our own, if nobody has begun yet, and load its file.

    Args:
        client: A connection.
        file: Where the site is to be written down.
        known: What the table has, removed sites included.

    Returns:
        What the table has then.

    Raises:
        SitesFileError: The file cannot be written.
        ClickHouseError: The table cannot; to be tried again.
    """
    draft = file.path.with_name(f"{file.path.name}.new")
    if not (known or file.is_loaded or file.path.exists()):
        draft.unlink(missing_ok=True)
        write_first_file(draft)
        book = SiteBook((), now_ms=time.time_ns() // 1_000_000)
        write_records(client, book.apply(read_sites(draft), file=file.name))
        known = read_records(client)
    if draft.exists():
        _put_in_place(draft, file, known)
    return known


def _put_in_place(draft: Path, file: SitesFile, known: list[SiteRecord]) -> None:
    """Make the draft the sites file, unless another node was before us."""
    ours = [record.write_keys for record in read_sites(draft)]
    if ours != [each.write_keys for each in known if each.kept_in == file.name]:
        draft.unlink()
        return
    draft.replace(file.path)
    _log.info("first sites file written", file=str(file.path), domain=FIRST_DOMAIN)
    file.load()
