"""What the nodes of a fleet share besides events, and what keeps this one in step."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from headwater_ingest.in_force import InForce
from headwater_ingest.salt_sync import SaltSync
from headwater_ingest.settings import Settings
from headwater_ingest.shared_tables import SharedTables
from headwater_ingest.site_sync import SiteSync
from headwater_ingest.sites.gatekeeper import Gatekeeper
from headwater_ingest.sites.registry import SiteRegistry
from headwater_ingest.sites.sites_file import SitesFile
from headwater_ingest.threads import in_thread
from headwater_ingest.visitors.salts import Salts
from headwater_ingest.visitors.salts_file import read_salts


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedState(InForce):
    """Sites, limits and salts of this node, and what keeps them in step.

    Attributes:
        site_sync: Keeps the sites, and the use of their quotas, in step.
        salt_sync: Keeps the salts in step.
    """

    site_sync: SiteSync
    salt_sync: SaltSync


def load_sites_file(settings: Settings) -> SitesFile:
    """Read the sites file, if there is one or the operator has named one.

    Raises:
        SitesFileError: It is wrong, or named and missing.
    """
    file = SitesFile(settings.sites_path)
    if settings.sites_file or settings.sites_path.exists():
        file.load()
    return file


@asynccontextmanager
async def open_shared_state(
    settings: Settings,
    file: SitesFile,
    tables: SharedTables,
    *,
    gate: Gatekeeper | None,
) -> AsyncIterator[SharedState]:
    """Put in force what is known, and keep it in step until the end.

    Args:
        settings: Where things are.
        file: The sites file.
        tables: What the nodes share.
        gate: What the sites' limits are kept by, if others share it.

    Raises:
        SitesFileError: There are no sites, and no first file can be written.
    """
    sites, gate = SiteRegistry(), gate or Gatekeeper()
    data_dir = settings.data_dir
    site_sync = SiteSync(sites, gate.usage, file=file, data_dir=data_dir, tables=tables)
    await site_sync.begin(may_write_file=settings.sites_file is None)
    salts = Salts(await in_thread(lambda: read_salts(data_dir)))
    salt_sync = SaltSync(salts, data_dir=data_dir, tables=tables)
    await salt_sync.look()
    tasks = [
        asyncio.create_task(keeper) for keeper in (site_sync.keep(), salt_sync.keep())
    ]
    try:
        yield SharedState(
            sites=sites,
            gate=gate,
            salts=salts,
            site_sync=site_sync,
            salt_sync=salt_sync,
        )
    finally:
        for task in tasks:
            task.cancel()
