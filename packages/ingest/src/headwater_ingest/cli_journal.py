"""`headwater-ingest journal`: looks at what waits for ClickHouse, and cares for it."""

import time
from collections.abc import Mapping
from typing import TextIO

import click
import msgspec

from headwater_ingest.cli_config import ConfiguredGroup
from headwater_ingest.cli_options import Load, find_journal, site_names
from headwater_ingest.journal.accounts import Accounts, Fate
from headwater_ingest.journal.care import compact as compact_journal
from headwater_ingest.journal.care import export_rows
from headwater_schema.outcomes import Outcome


@click.group(cls=ConfiguredGroup)
def journal() -> None:
    """Look at the journal in the data directory, and take care of it."""


@journal.command()
@click.pass_obj
def status(load: Load) -> None:
    """Say what waits for ClickHouse, and account for all events of each site.

    Reads only; works while the service runs and while it does not.
    """
    settings = load().values
    found = find_journal(settings.data_dir)
    click.echo(
        f"pending     {found.rows_pending} rows, {found.bytes_pending} of "
        f"{settings.journal_max_bytes} bytes, the oldest for "
        f"{_describe_age(found.oldest_pending_at_ms)}\n"
        f"block       {found.block or 'none in hand'}\n"
        f"window      {found.window_events} of {settings.window_events} event ids, "
        f"the last {_describe_age(found.window_from_ms)}\n"
        f"file        {found.file_bytes} bytes, {found.free_bytes} of them free"
    )
    if found.accounts:
        _print_accounts(found.accounts, site_names(settings))


@journal.command()
@click.option(
    "--output",
    type=click.File("w", encoding="utf-8"),
    default="-",
    metavar="FILE",
    help="Where the rows go; standard output otherwise.",
)
@click.pass_obj
def export(load: Load, output: TextIO) -> None:
    """Print every row that waits for ClickHouse, one JSON object a line.

    The rows stay where they are, and are written as if nothing had happened.
    """
    directory = load().values.data_dir
    find_journal(directory)
    rows = export_rows(directory)
    output.writelines(msgspec.json.encode(row).decode() + "\n" for row in rows)


@journal.command()
@click.pass_obj
def compact(load: Load) -> None:
    """Give free space in the journal's file back to the disk.

    Needs a stopped service, and about as much free space as the file has in use. The
    file does not grow without need: what rows have left is used by later ones.
    """
    directory = load().values.data_dir
    find_journal(directory)
    before, after = compact_journal(directory)
    click.echo(f"{before} bytes before, {after} bytes after")


def _describe_age(at_ms: int | None) -> str:
    age_s = 0.0 if at_ms is None else max(0.0, time.time() - at_ms / 1000)
    return f"{age_s / 3600:.1f} h" if age_s >= 3600 else f"{age_s:.0f} s"


def _print_accounts(accounts: Accounts, names: Mapping[int, str]) -> None:
    for site_id in accounts.sites:
        outcomes = {each.value: accounts.total(site_id, each) for each in Outcome}
        rows = {each.value: accounts.total(site_id, each) for each in Fate}
        rows["pending"] = accounts.pending[site_id]
        surplus = accounts.surplus(site_id)
        verdict = (
            "the accounts close"
            if not surplus
            else f"they are off by {surplus}: report this"
        )
        click.echo(
            f"site        {names.get(site_id, site_id)}: {verdict}\n"
            f"  received  {accounts.received(site_id)} = {_join(outcomes)}\n"
            f"  accepted  {outcomes['accepted']} = {_join(rows)}"
        )


def _join(sums: dict[str, int]) -> str:
    return " + ".join(f"{number} {name}" for name, number in sums.items())
