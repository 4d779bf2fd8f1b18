"""`headwater-ingest deadletters`: rows that ClickHouse refuses, from the command line.

They are on this machine, in the data directory; each node has its own.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import click
import msgspec

from headwater_ingest.cli_config import ConfiguredGroup
from headwater_ingest.cli_options import (
    DRY_RUN,
    SITE,
    Load,
    find_journal,
    find_site_id,
    quiet_settings,
    site_names,
)
from headwater_ingest.journal.dead_letters import (
    DeadLetter,
    DeadLetters,
    open_dead_letters,
)
from headwater_ingest.replay import (
    CHUNK_ROWS,
    alone_with_letters,
    in_chunks,
    items_of_letters,
    open_replayer,
)
from headwater_ingest.rows import decode_rows
from headwater_ingest.settings import Settings
from headwater_ingest.storage import reach_clickhouse

_IDS = click.argument("ids", nargs=-1, type=int, metavar="[ID]...")
_ALL = click.option("--all", "every", is_flag=True, help="All dead letters.")
_SHOWN = 50


@click.group(cls=ConfiguredGroup)
def deadletters() -> None:
    """Look at rows that ClickHouse refuses, and decide what becomes of them.

    They were accepted and are kept until they are replayed or discarded. The service
    may be running.
    """


@deadletters.command(name="list")
@SITE
@click.option("--limit", default=_SHOWN, show_default=True, help="So many at most.")
@click.pass_obj
def list_letters(load: Load, site: str | None, limit: int) -> None:
    """List dead letters, the oldest first."""
    settings = _settings(load)
    names = site_names(settings)
    site_id = find_site_id(settings, site) if site else None
    with open_dead_letters(settings.data_dir) as letters:
        found = letters.read(site_id=site_id, limit=limit)
        total = letters.count()
    for each in found:
        name = names.get(each.site_id, str(each.site_id))
        click.echo(f"{each.id}  {_time(each)}  {name}  {each.name}  {each.error}")
    click.echo(f"{len(found)} of {total} dead letters")


@deadletters.command()
@click.argument("ids", nargs=-1, type=int, required=True, metavar="ID...")
@click.pass_obj
def show(load: Load, ids: Sequence[int]) -> None:
    """Print dead letters whole, as JSON."""
    settings = _settings(load)
    with open_dead_letters(settings.data_dir) as letters:
        found = letters.read(ids=ids)
    for each in found:
        rows = decode_rows(each.row)
        text = msgspec.json.encode(
            {
                "id": each.id,
                "refused_at": _time(each),
                "error": each.error,
                "row": {"event_id": each.event_id, **rows.constants},
            }
        )
        click.echo(msgspec.json.format(text))
    _say_missing(ids, found)


@deadletters.command()
@_IDS
@_ALL
@SITE
@DRY_RUN
@click.pass_obj
def replay(
    load: Load, ids: Sequence[int], *, every: bool, site: str | None, dry_run: bool
) -> None:
    """Send dead letters to ClickHouse once more.

    Those that are written are dead letters no more; the others stay. What is in
    ClickHouse already is not doubled.
    """
    settings = _settings(load)
    with (
        reach_clickhouse(settings) as url,
        open_replayer(settings.data_dir, url) as replayer,
        open_dead_letters(settings.data_dir) as letters,
    ):
        if not dry_run:
            replayer.finish()
        chosen = _choose(letters, settings, ids=ids, every=every, site=site)
        for items in in_chunks(items_of_letters(chosen), CHUNK_ROWS):
            if dry_run:
                replayer.look(items)
            else:
                replayer.send(items)
    counts = replayer.counts
    if dry_run:
        click.echo(f"would send {counts.found - counts.stored} of {counts.found} rows")
    else:
        click.echo(
            f"{counts.written} rows written, {counts.stored} were in ClickHouse "
            f"already, {counts.refused} are refused and stay"
        )


@deadletters.command()
@_IDS
@_ALL
@SITE
@DRY_RUN
@click.pass_obj
def discard(
    load: Load, ids: Sequence[int], *, every: bool, site: str | None, dry_run: bool
) -> None:
    """Forget dead letters for good. They are counted as discarded."""
    settings = _settings(load)
    with (
        open_dead_letters(settings.data_dir) as letters,
        alone_with_letters(settings.data_dir),
    ):
        chosen = _choose(letters, settings, ids=ids, every=every, site=site)
        if dry_run:
            click.echo(f"would discard {len(chosen)} rows")
        else:
            click.echo(f"discarded {letters.discard(chosen)} rows")


def _settings(load: Load) -> Settings:
    settings = quiet_settings(load)
    find_journal(settings.data_dir)
    return settings


def _choose(
    letters: DeadLetters,
    settings: Settings,
    *,
    ids: Sequence[int],
    every: bool,
    site: str | None,
) -> list[DeadLetter]:
    if bool(ids) + every + bool(site) != 1:
        raise click.UsageError("say which: ids, --site DOMAIN, or --all")
    site_id = find_site_id(settings, site) if site else None
    chosen = letters.read(site_id=site_id, ids=ids)
    _say_missing(ids, chosen)
    return chosen


def _say_missing(ids: Sequence[int], found: Sequence[DeadLetter]) -> None:
    missing = sorted(set(ids) - {each.id for each in found})
    if missing:
        click.echo(
            f"no such dead letter: {', '.join(map(str, missing))}; "
            "see `headwater-ingest deadletters list`",
            err=True,
        )


def _time(letter: DeadLetter) -> str:
    time = datetime.fromtimestamp(letter.at_ms / 1000, UTC)
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"
