"""`headwater-ingest erase`: takes a person out of everything, and prints a receipt."""

from datetime import UTC, datetime

import click

from headwater_ingest.cli_config import ConfiguredCommand
from headwater_ingest.cli_options import DRY_RUN, Load, find_site_id, quiet_settings
from headwater_ingest.clickhouse.people import count_people, find_linked
from headwater_ingest.clickhouse.session import open_session
from headwater_ingest.clickhouse.template import Topology
from headwater_ingest.erasure import PATIENCE_S, EraseReceipt, Erasure
from headwater_ingest.erasure import erase as erase_people
from headwater_ingest.storage import reach_clickhouse


@click.command(cls=ConfiguredCommand)
@click.option("--site", metavar="DOMAIN", required=True, help="The site.")
@click.option("--distinct-id", required=True, help="The person.")
@click.option("--linked", is_flag=True, help="All other ids of that person, too.")
@DRY_RUN
@click.pass_obj
def erase(
    load: Load, *, site: str, distinct_id: str, linked: bool, dry_run: bool
) -> None:
    """Remove a person's events for good, and wait until they are gone.

    From the tables in ClickHouse, and from the dead letters and the archive of this
    node; on other nodes, run it too. The service may be running: what it has taken
    before is erased, what it takes from now on is not.
    """
    if not distinct_id:
        raise click.UsageError("--distinct-id is empty: nobody is called that")
    settings = quiet_settings(load)
    site_id = find_site_id(settings, site)
    topology = Topology(settings.clickhouse_cluster)
    with reach_clickhouse(settings) as url:
        with open_session(url, timeout_s=PATIENCE_S) as client:
            known = find_linked(client, site_id, distinct_id)
            ids = tuple(known) if linked else (distinct_id,)
            events = count_people(client, site_id, ids)
        if dry_run:
            click.echo(f"would erase {events} events of {', '.join(ids)}")
        else:
            erasure = Erasure(site_id, ids)
            receipt = erase_people(erasure, settings.data_dir, url, topology)
            click.echo(_render(receipt, erasure, site), nl=False)
    others = sorted(set(known) - set(ids))
    if others:
        click.echo(f"other ids of this person (--linked): {', '.join(others)}")


def _render(receipt: EraseReceipt, erasure: Erasure, site: str) -> str:
    rows = {
        **receipt.tables,
        "dead letters": receipt.dead_letters,
        "archive": receipt.archive,
    }
    at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    lines = [
        f"erased {', '.join(erasure.ids)} from {site} (site {erasure.site_id})",
        *(f"  {name:<16}{count:>8} rows" for name, count in rows.items()),
        f"done at {at}, {receipt.events_left} events have come since",
    ]
    return "".join(f"{line}\n" for line in lines)
