"""Headwater in half a minute: a service, some minutes of traffic, and what arrived.

Starts the service on an embedded ClickHouse, sends the traffic of an online shop
through the SDK, and holds what ClickHouse has against what was sent, id by id. Run it
with `make demo`.
"""

import logging
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import click
from examples.demo_service import PORT, DemoError, Service, run_service
from examples.demo_tables import print_tables
from examples.demo_traffic import Act, make_traffic

from headwater import Client
from headwater_ingest.clickhouse.client import Client as ClickHouse
from headwater_ingest.errors import HeadwaterError

_DIRECTORY: Final = Path(__file__).parent.parent / ".headwater" / "demo"
_MINUTES: Final = 10
_VISITORS: Final = 800
_ARRIVE_S: Final = 30.0
_SLICE: Final = 50
_SHOWN_IDS: Final = 5
_BAR_CHARS: Final = 40
_INTERRUPTED: Final = 130

_HOW_TO: Final = """\
  {url} takes events until you press Ctrl-C.

  {bold}Send one with curl{plain}  (the same once more is a duplicate: change a word)

    curl {url}/ingest-events -H 'Content-Type: application/json' \\
      -H 'X-Headwater-Key: {key}' \\
      -d '{{"events": [{{"event": "hello", "distinct_id": "me", \
"properties": {{"from": "curl"}}}}]}}'

  {bold}Send one with Python{plain}  ({python})

    from headwater import Client
    client = Client("{key}", "{url}")
    client.capture("me", "hello", {{"from": "Python"}})

  {bold}See it in ClickHouse{plain}

    curl '{clickhouse}/?database=headwater' \\
      -u "headwater:$(cat {password})" \\
      -d "SELECT timestamp, name, props FROM events_unique \
ORDER BY received_at DESC LIMIT 3 FORMAT PrettyCompact"
"""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of the events that were sent.

    Attributes:
        sent: How many there were.
        missing: Ids that are not in ClickHouse.
        doubled: Ids that are there more than once.
    """

    sent: int
    missing: Sequence[str]
    doubled: Sequence[str]

    @property
    def is_exact(self) -> bool:
        """Whether every event is there exactly once."""
        return not (self.missing or self.doubled)

    def describe(self) -> str:
        """Say it in one line."""
        if self.is_exact:
            return f"{self.sent:,} events sent, each of them in ClickHouse exactly once"
        faults = {"missing": self.missing, "there more than once": self.doubled}
        told = [
            f"{len(ids):,} {what} ({', '.join(ids[:_SHOWN_IDS])}"
            f"{', ...' if len(ids) > _SHOWN_IDS else ''})"
            for what, ids in faults.items()
            if ids
        ]
        return f"{self.sent:,} events sent, but in ClickHouse {' and '.join(told)}"


def compare(sent: Sequence[str], stored: Sequence[str]) -> Comparison:
    """Hold the ids that were sent against those in ClickHouse."""
    times = Counter(stored)
    return Comparison(
        sent=len(sent),
        missing=[each for each in sent if not times[each]],
        doubled=[each for each in sent if times[each] > 1],
    )


class _Bar(Protocol):
    """As much of a progress bar as we use."""

    pos: int

    def update(self, n_steps: int) -> None: ...


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--once",
    is_flag=True,
    help="End by itself, with status 0 if every event is stored exactly once.",
)
@click.option("--keep", is_flag=True, help="Keep the data of the last demo.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False, writable=True),
    default=_DIRECTORY,
    help="Where data and log go; .headwater/demo if not given.",
)
def main(*, once: bool, keep: bool, directory: Path) -> None:
    """Run Headwater with some minutes of lifelike traffic, and show what arrived."""
    # What the client has to say is shown in one place, with all the rest.
    logging.getLogger("headwater").addHandler(logging.NullHandler())
    began = time.monotonic()
    try:
        with _signals_as_interrupts(), run_service(directory, keep=keep) as service:
            _introduce(service, seconds=time.monotonic() - began)
            comparison = _send_and_compare(service)
            print_tables(service)
            if not once:
                _summarise(comparison, seconds=time.monotonic() - began)
                _keep_running(service)
    except KeyboardInterrupt:
        click.echo("\n  Interrupted; everything is stopped.")
        sys.exit(_INTERRUPTED)
    except (DemoError, HeadwaterError) as error:
        raise click.ClickException(str(error)) from error
    if once:
        _summarise(comparison, seconds=time.monotonic() - began)
    else:
        click.echo(f"\n  Stopped. The data stays in {_shown(service.data_dir)}.")
    sys.exit(0 if comparison.is_exact else 1)


@contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """Let whatever ends a program end it as Ctrl-C does: in order."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {
        number: signal.signal(number, signal.default_int_handler) for number in numbers
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _introduce(service: Service, *, seconds: float) -> None:
    taken = "" if service.url.endswith(f":{PORT}") else f"; {PORT} was taken"
    click.echo(
        f"\n  Service        {service.url}  (ready after {seconds:.1f} s{taken})"
        f"\n  Its log        {_shown(service.log)}\n"
    )


def _send_and_compare(service: Service) -> Comparison:
    """Send the traffic, wait until it has arrived, and compare the ids."""
    acts = make_traffic(datetime.now(UTC), minutes=_MINUTES, visitors=_VISITORS)
    with service.clickhouse() as clickhouse:
        before = _count(clickhouse)
        sent = _send(service, acts)
        with _progress("In ClickHouse", len(sent)) as bar:

            def has_arrived() -> bool:
                bar.update(_count(clickhouse) - before - bar.pos)
                return bar.pos >= len(sent)

            service.wait_for(has_arrived, _ARRIVE_S)
        rows = clickhouse.execute("SELECT toString(event_id) FROM events")
    return compare(sent, [event_id for (event_id,) in rows])


def _send(service: Service, acts: Sequence[Act]) -> list[str]:
    """Send everything, and return the ids."""
    faults: set[str] = set()
    sent: list[str] = []
    with (
        Client(
            service.write_key,
            service.url,
            on_error=lambda error, _events: faults.add(str(error)),
        ) as client,
        _progress("Sending", len(acts)) as bar,
    ):

        def is_delivered() -> bool:
            client.flush(timeout=0.1)
            bar.update(client.stats().delivered - bar.pos)
            return not client.queue_length

        for first in range(0, len(acts), _SLICE):
            some = acts[first : first + _SLICE]
            sent += [act.send(client) or "one that was not taken" for act in some]
            bar.update(client.stats().delivered - bar.pos)
        service.wait_for(is_delivered, _ARRIVE_S)
    for fault in sorted(faults):
        click.secho(f"  {fault}", fg="red")
    return sent


def _count(clickhouse: ClickHouse) -> int:
    [(count,)] = clickhouse.execute("SELECT count() FROM events")
    return int(count)


@contextmanager
def _progress(label: str, length: int) -> Iterator[_Bar]:
    """Show a bar on a terminal, and elsewhere one line in the end."""
    label = f"  {label:13}"
    is_terminal = sys.stdout.isatty()
    with click.progressbar(
        length=length,
        label=label,
        width=_BAR_CHARS,
        fill_char="█",
        empty_char="░",
        bar_template="%(label)s  %(bar)s  %(info)s",
        show_eta=False,
        show_percent=False,
        show_pos=True,
        hidden=not is_terminal,
    ) as bar:
        yield bar
    if not is_terminal:
        click.echo(f"{label}  {bar.pos}/{length}")


def _summarise(comparison: Comparison, *, seconds: float) -> None:
    colour = "green" if comparison.is_exact else "red"
    click.secho(f"\n  {comparison.describe()}; {seconds:.0f} s in all.", fg=colour)


def _keep_running(service: Service) -> None:
    """Show how to go on from here, and return at Ctrl-C."""
    click.echo()
    click.echo(
        _HOW_TO.format(
            url=service.url,
            key=service.write_key,
            clickhouse=service.clickhouse_url,
            password=_shown(service.data_dir / "clickhouse" / "password"),
            python=_shown(Path(sys.executable)),
            bold="\x1b[1m",
            plain="\x1b[0m",
        )
    )
    try:
        service.process.wait()
    except KeyboardInterrupt:
        return
    raise DemoError(f"the service has ended; see {_shown(service.log)}")


def _shown(path: Path) -> str:
    """Return a path as short as it can be typed here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


if __name__ == "__main__":
    main()
