"""`headwater-ingest replay`: rows from the archive, put through the writer again."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain

import click

from headwater_ingest.archive import list_files, read_rows
from headwater_ingest.cli_config import ConfiguredCommand
from headwater_ingest.cli_options import (
    DRY_RUN,
    SITE,
    Load,
    find_journal,
    find_site_id,
    quiet_settings,
)
from headwater_ingest.clickhouse.retention import find_cutoffs
from headwater_ingest.replay import (
    CHUNK_ROWS,
    Item,
    Replayer,
    in_chunks,
    items_of,
    open_replayer,
)
from headwater_ingest.settings import Settings
from headwater_ingest.sites.known_sites import KnownSites
from headwater_ingest.storage import reach_clickhouse


class _Moment(click.ParamType[datetime]):
    """A time as people write it; UTC unless it says otherwise."""

    name = "time"

    def convert(
        self,
        value: str | datetime,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value} is no time: write 2026-11-22T02:00", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@click.command(cls=ConfiguredCommand)
@click.option(
    "--from", "start", type=_Moment(), required=True, help="First time of arrival, UTC."
)
@click.option(
    "--to", "end", type=_Moment(), help="The time after the last; now, if not given."
)
@SITE
@DRY_RUN
@click.option("--rate", type=click.FloatRange(min=1), help="Most rows in a second.")
@click.pass_obj
def replay(  # noqa: PLR0913  # one for each option
    load: Load,
    *,
    start: datetime,
    end: datetime | None,
    site: str | None,
    dry_run: bool,
    rate: float | None,
) -> None:
    """Put rows of the archive into ClickHouse that are not there.

    Rows are chosen by the time at which they were received. Those that ClickHouse has
    are left out. The service may be running. A replay that was killed is ended by the
    next one, on whatever range.
    """
    settings = quiet_settings(load)
    find_journal(settings.data_dir)
    site_id = find_site_id(settings, site) if site else None
    end = end or datetime.now(UTC)
    if end <= start:
        raise click.UsageError("--from must be before --to, and not in the future")
    items = _read(settings, start, end, site_id=site_id)
    with (
        reach_clickhouse(settings) as url,
        open_replayer(settings.data_dir, url) as replayer,
    ):
        if dry_run:
            for chunk in in_chunks(items, CHUNK_ROWS):
                replayer.look(chunk)
        else:
            replayer.finish()
            _send(replayer, items, rate)
    counts = replayer.counts
    click.echo(f"{counts.found} rows found, {counts.stored} of them in ClickHouse")
    if not dry_run:
        click.echo(f"{counts.written} rows written, {counts.refused} refused")


def _read(
    settings: Settings, start: datetime, end: datetime, *, site_id: int | None
) -> Iterator[Item]:
    from_ms, to_ms = (round(each.timestamp() * 1000) for each in (start, end))
    files = list_files(settings.archive_dir)
    if not files:
        click.echo(
            f"there is no archive in {settings.archive_dir}: `archive_days` keeps one",
            err=True,
        )
    sets = chain.from_iterable(read_rows(each, from_ms, to_ms) for each in files)
    items = items_of(sets, {} if site_id is None else {"site_id": site_id})
    # What a site no longer keeps would come back for a day.
    records = KnownSites.read(settings.data_dir).records
    cutoffs = find_cutoffs(records, datetime.now(UTC).date())
    return (each for each in items if each.time_ms >= cutoffs.get(each.site_id, 0))


def _send(replayer: Replayer, items: Iterator[Item], rate: float | None) -> None:
    # A second's worth at a time, so that a rate is one at any moment.
    rows = CHUNK_ROWS if rate is None else min(CHUNK_ROWS, round(rate))
    for chunk in in_chunks(items, rows):
        began = time.monotonic()
        replayer.send(chunk)
        if rate is not None:
            time.sleep(max(0.0, len(chunk) / rate - (time.monotonic() - began)))
