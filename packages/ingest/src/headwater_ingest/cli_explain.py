"""`headwater-ingest explain`: what would become of a request, from the command line."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import BinaryIO, Final

import click
import msgspec

from headwater_ingest.cli_config import ConfiguredCommand
from headwater_ingest.explain.curl import is_curl, read_curl
from headwater_ingest.explain.explanation import explain as explain_request
from headwater_ingest.explain.http_request import (
    MAX_BYTES,
    HttpRequest,
    RequestTextError,
    read_raw,
)
from headwater_ingest.explain.render import render
from headwater_ingest.explain.surroundings import look_around
from headwater_ingest.settings_reader import LoadedSettings
from headwater_ingest.telemetry.logs import configure_logs

Load = Callable[[], LoadedSettings]

_YEARS: Final = range(1971, 2300)


@click.command(cls=ConfiguredCommand)
@click.argument("file", type=click.File("rb"), default="-")
@click.option(
    "--peer",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    callback=lambda _context, _option, value: _check_address(value),
    help="Who is at the other end of the connection: your proxy, or the visitor.",
)
@click.option(
    "--at",
    metavar="TIME",
    callback=lambda _context, _option, value: _read_time(value),
    help="When the request comes, such as 2026-11-22T09:30:00Z. Not given: now.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.pass_obj
def explain(load: Load, file: BinaryIO, peer: str, at: int, as_json: bool) -> None:  # noqa: FBT001 - click passes it by name
    """Show what would become of a request, step by step: why is my event not there?

    FILE, or standard input, holds a request as it goes over the wire or a `curl`
    command, for any of the routes that take events. Nothing is sent, stored or counted,
    and the service need not run. Exits with 0 whatever becomes of the event, and with 2
    if the request is not understood.
    """
    try:
        request = _read_request(file.read(MAX_BYTES))
    except RequestTextError as error:
        raise click.UsageError(str(error)) from None
    settings = load().values
    configure_logs("warning", settings.log_format)
    around = look_around(settings, now_ms=at)
    explanation = asyncio.run(explain_request(request, around, peer=peer))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(explanation)))
    else:
        click.echo(render(explanation), nl=False)


def _read_request(text: bytes) -> HttpRequest:
    return read_curl(text) if is_curl(text) else read_raw(text)


def _check_address(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError:
        raise click.BadParameter(f"`{value}` is no IP address") from None


def _read_time(value: str | None) -> int:
    """Returns a time in epoch milliseconds; without a zone it is UTC."""
    if value is None:
        return time.time_ns() // 1_000_000
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(
            f"`{value}` is no time: write it as 2026-11-22T09:30:00Z"
        ) from None
    if at.year not in _YEARS:
        raise click.BadParameter(f"`{value}` is too far away")
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return round(at.timestamp() * 1000)
