"""`headwater-ingest sites`: the sites, from the command line.

The commands speak to ClickHouse, not to the service, so they work from any machine that
reaches it; every node takes up a change within a few seconds.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from headwater_ingest.cli_config import ConfiguredGroup
from headwater_ingest.clickhouse.migrate import migrate
from headwater_ingest.clickhouse.sites import ClickHouseSites
from headwater_ingest.clickhouse.template import Topology
from headwater_ingest.settings import Settings
from headwater_ingest.settings_reader import LoadedSettings
from headwater_ingest.sites.administration import (
    DEFAULT_OVERLAP_HOURS,
    SiteAdministration,
)
from headwater_ingest.sites.assignments import read_assignments
from headwater_ingest.sites.fields import FIELDS
from headwater_ingest.sites.record import SiteRecord
from headwater_ingest.sites.sites_toml import read_sites
from headwater_ingest.sites.sites_toml_writer import write_site
from headwater_ingest.storage import reach_clickhouse
from headwater_ingest.telemetry.logs import configure_logs

Load = Callable[[], LoadedSettings]

_FIELDS = (
    f"Fields: {', '.join(sorted(FIELDS))}. What each means: docs/operation.md, Sites."
)
_HEADINGS = ("DOMAIN", "ID", "KEYS", "LIMITS", "KEPT IN")


@click.group(cls=ConfiguredGroup)
def sites() -> None:
    """List and change the sites that may send events.

    A site that a sites file names is changed in that file. All others are kept in
    ClickHouse and changed here. A change is live on every node within 10 seconds.
    """


@sites.command(name="list")
@click.pass_obj
def list_sites(load: Load) -> None:
    """List all sites."""
    with _administration(load) as administration:
        records = administration.list_sites()
    click.echo(_render(records), nl=False)


@sites.command()
@click.argument("domain")
@click.pass_obj
def show(load: Load, domain: str) -> None:
    """Print a site as a sites file has it. What is as on a new site is left out."""
    with _administration(load) as administration:
        record = administration.find(domain)
    click.echo(f"# kept in {record.kept_in or 'ClickHouse'}, number {record.id}")
    click.echo(write_site(record), nl=False)


@sites.command(epilog=_FIELDS)
@click.argument("domain")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@click.pass_obj
def add(load: Load, domain: str, fields: Sequence[str]) -> None:
    """Add a site, and print its write key: it is not shown again.

    The fields are those of the sites file: rate_limit=600 blocked_pages=/admin/*,/test
    """
    new = SiteRecord(id=0, domain=domain)
    given = {**read_assignments(fields, new), "domain": domain}
    with _administration(load) as administration:
        record, key = administration.add(given)
    click.echo(f"added {record.domain}")
    if key:
        click.echo(f"write key: {key}")


@sites.command(epilog=_FIELDS)
@click.argument("domain")
@click.argument("fields", nargs=-1, required=True, metavar="FIELD=VALUE...")
@click.pass_obj
def edit(load: Load, domain: str, fields: Sequence[str]) -> None:
    """Change fields of a site.

    FIELD= goes back to what a new site has. Lists know += and -= too:
    blocked_pages+=/drafts/*
    """
    with _administration(load) as administration:
        before = administration.find(domain)
        record = administration.edit(domain, read_assignments(fields, before))
    if record.differs_from(before):
        click.echo(f"changed {record.domain}")
    else:
        click.echo(f"nothing has changed: {record.domain} was so before")


@sites.command()
@click.argument("domain")
@click.pass_obj
def remove(load: Load, domain: str) -> None:
    """Remove a site. Its events stay."""
    with _administration(load) as administration:
        record = administration.remove(domain)
    click.echo(f"removed {record.domain}")


@sites.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def apply(load: Load, file: Path) -> None:
    """Make a sites file the truth about the sites in it.

    Sites that it named before and no longer names are removed.
    """
    records = read_sites(file)
    with _administration(load) as administration:
        before = {each.id: each.kept_in for each in administration.list_sites()}
        changed = administration.apply(records, file=str(file.resolve()))
    for record in changed:
        click.echo(f"{'removed' if record.removed else 'applied'} {record.domain}")
        if (
            not record.removed
            and before.get(record.id, record.kept_in) != record.kept_in
        ):
            click.echo(_tell_taken(record, before[record.id]))
    if not changed:
        click.echo("the sites are up to date")


@sites.command()
@click.pass_obj
def export(load: Load) -> None:
    """Print all sites as a sites file. It holds digests of keys, not the keys."""
    with _administration(load) as administration:
        text = administration.export()
    click.echo(text, nl=False)


@sites.command(name="rotate-key")
@click.argument("domain")
@click.option(
    "--overlap-hours",
    type=float,
    default=DEFAULT_OVERLAP_HOURS,
    show_default=True,
    help="How long the old keys stay valid.",
)
@click.pass_obj
def rotate_key(load: Load, domain: str, overlap_hours: float) -> None:
    """Give a site a new write key, and print it: it is not shown again."""
    with _administration(load) as administration:
        record, key = administration.rotate_key(domain, overlap_hours=overlap_hours)
    click.echo(f"write key: {key}")
    if len(record.write_keys) > 1:
        click.echo(f"the old ones stay valid for {overlap_hours:g} hours")


@sites.command()
@click.argument("domain")
@click.pass_obj
def release(load: Load, domain: str) -> None:
    """Let a site go from its sites file, so that it can be changed here.

    Take it out of the file too: a file that names it takes it back.
    """
    with _administration(load) as administration:
        record = administration.release(domain)
    click.echo(f"released {record.domain}")


@contextmanager
def _administration(load: Load) -> Iterator[SiteAdministration]:
    """Reach the table of sites, which is made if it is not there yet."""
    settings: Settings = load().values
    configure_logs("warning", settings.log_format)
    with reach_clickhouse(settings) as url:
        migrate(url, Topology(settings.clickhouse_cluster))
        yield SiteAdministration(ClickHouseSites(url))


def _tell_taken(record: SiteRecord, kept_in: str) -> str:
    """Say that a site has got another place."""
    return (
        f"  it was kept in {kept_in or 'ClickHouse'}, and can be changed only in "
        f"{record.kept_in} from now on"
    )


def _render(records: Sequence[SiteRecord]) -> str:
    rows = [_HEADINGS, *map(_describe, records)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _describe(record: SiteRecord) -> tuple[str, ...]:
    domain = record.domain
    if record.former_domain:
        domain += f" (was {record.former_domain})"
    return (
        domain,
        str(record.id),
        str(len(record.write_keys)),
        ", ".join(_limits(record)) or "none",
        record.kept_in or "ClickHouse",
    )


def _limits(record: SiteRecord) -> Iterator[str]:
    if record.consolidated:
        yield "consolidated"
    if record.rate_limit == 0:
        yield "blocked"
    elif record.rate_limit is not None:
        yield f"{record.rate_limit} in {record.rate_window_seconds} s"
    if record.monthly_quota is not None:
        yield f"{record.monthly_quota} a month"
    if record.accept_traffic_until:
        yield f"until {record.accept_traffic_until}"
