"""The command line: thin commands, and one place where an error becomes one line.

Whatever an operator can cause ends with ``error: `` and what to do, on standard error,
without a traceback. Exit codes: 0 done, 1 it did not work, 2 the call or a setting is
wrong, 130 interrupted.
"""

import sys
from collections.abc import Callable

import click
import uvloop
from msgspec.structs import replace

from headwater_ingest import doctor
from headwater_ingest.app import serve as run_service
from headwater_ingest.cli_config import ConfiguredGroup
from headwater_ingest.cli_deadletters import deadletters
from headwater_ingest.cli_erase import erase
from headwater_ingest.cli_explain import explain
from headwater_ingest.cli_journal import journal
from headwater_ingest.cli_replay import replay
from headwater_ingest.cli_sites import sites
from headwater_ingest.clickhouse.client import ClickHouseUrl
from headwater_ingest.clickhouse.embedded import describe_running, run_in_foreground
from headwater_ingest.errors import (
    ClickHouseUrlError,
    DataDirectoryInUseError,
    HeadwaterError,
    SettingsError,
)
from headwater_ingest.findings import Level
from headwater_ingest.settings import MAX_WORKERS, Settings
from headwater_ingest.settings_reader import LoadedSettings
from headwater_ingest.storage import migrate_once
from headwater_ingest.telemetry.logs import configure_logs
from headwater_ingest.version import VERSION

_FAILED = 1
_WRONG_CALL = 2
_INTERRUPTED = 130


@click.group(
    cls=ConfiguredGroup, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(VERSION, prog_name="headwater-ingest")
def cli() -> None:
    """Take events over HTTP and write them to ClickHouse, each exactly once.

    Start with `headwater-ingest serve`: it needs no settings and no other program. The
    data goes to ./data, and the first write key to ./data/sites.toml.
    """


@cli.command()
@click.option(
    "--workers",
    type=click.IntRange(1, MAX_WORKERS),
    metavar="N",
    help="Take events with so many processes (HEADWATER_WORKERS).",
)
@click.pass_obj
def serve(load: Callable[[], LoadedSettings], workers: int | None) -> None:
    """Run the service until Ctrl-C or SIGTERM.

    The first signal stops it in good order: it turns not ready, finishes what it has
    begun and writes the journal to ClickHouse. A second signal stops it at once; what
    was acknowledged is on disk either way.
    """
    settings = _settings_with_logs(load)
    if workers is not None:
        settings = replace(settings, workers=workers)
    uvloop.run(run_service(settings))


@cli.command()
@click.pass_obj
def migrate(load: Callable[[], LoadedSettings]) -> None:
    """Create or update the tables in ClickHouse.

    `serve` does this by itself when it starts. It is safe to run at any time.
    """
    applied = migrate_once(_settings_with_logs(load))
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("the tables are up to date")


@cli.command(name="doctor")
@click.pass_obj
def examine(load: Callable[[], LoadedSettings]) -> None:
    """Check settings, data directory, journal, ClickHouse, sites and service.

    Works while the service runs and while it does not. Exits with 1 if a check fails.
    """
    findings = doctor.examine(load())
    click.echo(doctor.render(findings), nl=False)
    if any(finding.level is Level.FAIL for finding in findings):
        sys.exit(_FAILED)


@cli.group()
def config() -> None:
    """Look at the settings."""


@config.command()
@click.pass_obj
def show(load: Callable[[], LoadedSettings]) -> None:
    """Print every setting and where its value comes from, without secrets."""
    click.echo(load().show(), nl=False)


@cli.command()
@click.pass_obj
def clickhouse(load: Callable[[], LoadedSettings]) -> None:
    """Run the embedded ClickHouse alone, and print how to connect to it.

    For a look at the data. While the service runs, its ClickHouse is left alone, and
    only how to connect is printed.
    """
    settings = load().values
    configure_logs("warning", settings.log_format)
    if not settings.is_embedded:
        raise click.UsageError(
            "clickhouse_url names a ClickHouse of your own: ask that one, or unset "
            "HEADWATER_CLICKHOUSE_URL for the embedded one"
        )
    directory = settings.clickhouse_dir
    try:
        run_in_foreground(
            directory,
            max_memory_bytes=settings.clickhouse_memory_bytes,
            echo=click.echo,
        )
    except DataDirectoryInUseError:
        lines = describe_running(directory)
        if not lines:
            raise
        click.echo("\n".join(lines))


cli.add_command(explain)
cli.add_command(journal)
cli.add_command(sites)
cli.add_command(deadletters)
cli.add_command(erase)
cli.add_command(replay)


def main() -> None:
    """Run the command line; the entry point of the package."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command, say what went wrong, and return the exit code."""
    try:
        cli.main(arguments, "headwater-ingest", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return _say(error.format_message(), code=error.exit_code)
    except click.Abort:
        return _INTERRUPTED
    except (SettingsError, ClickHouseUrlError) as error:
        return _say(str(error), code=_WRONG_CALL)
    except HeadwaterError as error:
        return _say(str(error), code=_FAILED)
    return 0


def _say(message: str, *, code: int) -> int:
    for line in message.splitlines():
        click.echo(f"error: {line}", err=True)
    return code


def _settings_with_logs(load: Callable[[], LoadedSettings]) -> Settings:
    settings = load().values
    if not settings.is_embedded:
        ClickHouseUrl.parse(settings.clickhouse_url)  # before anything is touched
    configure_logs(settings.log_level, settings.log_format)
    return settings
