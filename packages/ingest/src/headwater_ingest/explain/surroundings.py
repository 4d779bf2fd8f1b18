"""What the service would know when a request comes: read, and nothing written.

Sites are those that a start would put in force: the table in ClickHouse if it can be
reached, else what this node last knew of it, under the sites file. A ClickHouse that
does not run is not started.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from headwater_ingest.clickhouse.client import ClickHouseUrl
from headwater_ingest.clickhouse.embedded import find_running
from headwater_ingest.clickhouse.session import open_session
from headwater_ingest.clickhouse.sites import read_records, read_usage
from headwater_ingest.data_files import DataFiles
from headwater_ingest.enrich.networks import NetworkSet
from headwater_ingest.errors import ClickHouseError
from headwater_ingest.pipeline.enrichment import Enrichment
from headwater_ingest.settings import Settings
from headwater_ingest.shared_state import load_sites_file
from headwater_ingest.site_sync import merge_sites
from headwater_ingest.sites.gatekeeper import Gatekeeper
from headwater_ingest.sites.known_sites import KnownSites
from headwater_ingest.sites.record import SiteRecord, to_sites
from headwater_ingest.sites.registry import SiteRegistry
from headwater_ingest.sites.sites_file import SitesFile

WINDOW_UNKNOWN: Final = (
    "how much of the rate limit is used up is not known here; it is taken for nothing"
)
_USAGE_UNKNOWN: Final = (
    "how much of a monthly quota is used up is not known here; it is taken for nothing"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a request meets.

    Attributes:
        settings: The operator's.
        sites: The sites in force.
        gate: Their limits. Its windows are empty; it knows what quotas are used up.
        enrichment: The tables of enrichment.
        trusted: The proxies whose headers are believed.
        clock: Says when the request comes, epoch milliseconds.
        notes: Where all this is from, and what is not known.
    """

    settings: Settings
    sites: SiteRegistry
    gate: Gatekeeper
    enrichment: Enrichment
    trusted: NetworkSet
    clock: Callable[[], int]
    notes: tuple[str, ...]


def look_around(settings: Settings, *, now_ms: int) -> Surroundings:
    """Reads what the service would know.

    Raises:
        SitesFileError: The sites file is wrong, or named and missing.
    """
    file, saved = load_sites_file(settings), KnownSites.read(settings.data_dir)
    gate = Gatekeeper()
    found = _ask_clickhouse(settings, gate, now_ms=now_ms)
    known = saved.records if isinstance(found, str) else found
    in_force = merge_sites(
        known, file.records, kept_in=file.name, dropped=frozenset(saved.in_file)
    )
    sites = SiteRegistry(clock_ms=lambda: now_ms)
    sites.replace(to_sites(in_force))
    files = DataFiles(settings)
    notes = [f"sites: {len(sites)}, {_tell_origin(file, found)}", *files.problems]
    if isinstance(found, str) and any(each.monthly_quota for each in in_force):
        notes.append(_USAGE_UNKNOWN)
    return Surroundings(
        settings=settings,
        sites=sites,
        gate=gate,
        enrichment=files.enrichment,
        trusted=NetworkSet.parse(settings.trusted_proxies),
        clock=lambda: now_ms,
        notes=tuple(notes),
    )


def _ask_clickhouse(
    settings: Settings, gate: Gatekeeper, *, now_ms: int
) -> list[SiteRecord] | str:
    """Returns the sites of the table, or why there is no knowing them."""
    url = _find_clickhouse(settings)
    if url is None:
        return "the embedded ClickHouse does not run"
    month = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    try:
        with open_session(url) as client:
            records = [each for each in read_records(client) if not each.removed]
            limited = [each.id for each in records if each.monthly_quota is not None]
            usage = read_usage(client, month, limited)
    except ClickHouseError as error:
        return str(error)
    gate.usage.watch(limited)
    gate.usage.learn(month, usage, now_ms=now_ms)
    return records


def _find_clickhouse(settings: Settings) -> ClickHouseUrl | None:
    if settings.is_embedded:
        return find_running(settings.clickhouse_dir)
    return ClickHouseUrl.parse(settings.clickhouse_url)


def _tell_origin(file: SitesFile, found: list[SiteRecord] | str) -> str:
    table = (
        f"as this node last knew them ({found})"
        if isinstance(found, str)
        else "as ClickHouse has them"
    )
    return f"{table}; those of {file.path} as it says" if file.records else table
