"""What several commands have in common: options, and how a site is named."""

from collections.abc import Callable, Mapping
from pathlib import Path

import click

from headwater_ingest.errors import JournalUnwritableError, UnknownSiteError
from headwater_ingest.journal.peek import JournalPeek, peek
from headwater_ingest.settings import Settings
from headwater_ingest.settings_reader import LoadedSettings
from headwater_ingest.sites.known_sites import KnownSites
from headwater_ingest.telemetry.logs import configure_logs

Load = Callable[[], LoadedSettings]

SITE = click.option("--site", metavar="DOMAIN", help="Of this site only.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Only say what would be done.")


def quiet_settings(load: Load) -> Settings:
    """Return the settings, for a command whose output is no log."""
    settings = load().values
    configure_logs("warning", settings.log_format)
    return settings


def find_journal(directory: Path) -> JournalPeek:
    """Look at the journal that a command is about.

    Raises:
        JournalUnwritableError: There is none; nothing was made.
    """
    found = peek(directory)
    if found is None:
        raise JournalUnwritableError(
            f"there is no journal in {directory}: set HEADWATER_DATA_DIR to the "
            "directory of the service"
        )
    return found


def find_site_id(settings: Settings, domain: str) -> int:
    """Return the number of a site, by its name or the number itself.

    Raises:
        UnknownSiteError: This node has never heard of it.
    """
    if domain.isdecimal():
        return int(domain)
    for record in KnownSites.read(settings.data_dir).records:
        if domain.lower() in {record.domain, record.former_domain}:
            return record.id
    raise UnknownSiteError(
        f"this node knows no site {domain}: see `headwater-ingest sites list`, or give "
        "the number of the site"
    )


def site_names(settings: Settings) -> Mapping[int, str]:
    """Return the names of the sites that this node knows, by their numbers."""
    records = KnownSites.read(settings.data_dir).records
    return {record.id: record.domain for record in records}
