"""`headwater doctor`: what keeps events from getting there, and what to do about it."""

import argparse
import platform
import sqlite3
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from pathlib import Path

from headwater._batch import FrozenBatch
from headwater._errors import SettingsError, TransportError
from headwater._http import HttpTransport
from headwater._settings import Settings
from headwater._spool_file import CorruptFileError, ForeignFileError, transaction
from headwater._transport import Request, Response
from headwater._verdict import Foreign, Refused, Taken, TryAgain, judge
from headwater._version import SDK_NAME, __version__
from headwater.cli._options import add_destination, read_destination
from headwater_schema.ids import new_batch_id
from headwater_schema.limits import MAX_CLOCK_SKEW_S


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has found.

    Attributes:
        is_well: It is as it should be.
        subject: What was looked at.
        text: What was found, and what to do.
    """

    is_well: bool
    subject: str
    text: str


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "doctor",
        help="look for what keeps events from getting there",
        description="Checks the settings, the way to the service, the write key, the "
        "clock and the spool. It sends an empty batch, and changes nothing.",
    )
    parser.add_argument(
        "--spool", type=Path, metavar="PATH", help="also look into this spool"
    )
    add_destination(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Runs all checks; returns 1 if one of them found a fault."""
    is_well = True
    for finding in _examine(chosen):
        is_well &= finding.is_well
        mark = "ok   " if finding.is_well else "FAULT"
        sys.stdout.write(f"{mark}  {finding.subject}: {finding.text}\n")
    return 0 if is_well else 1


def _examine(chosen: argparse.Namespace) -> Iterator[Finding]:
    zstd = "zstd and gzip" if find_spec("zstandard") else "gzip"
    here = f"headwater {__version__}, Python {platform.python_version()}, {zstd}"
    yield Finding(is_well=True, subject="library", text=here)
    if chosen.spool is not None:
        yield _look_into(chosen.spool)
    try:
        options = read_destination(chosen)
    except SettingsError as error:
        for fault in error.faults:
            yield Finding(is_well=False, subject="settings", text=fault)
        return
    settings = Settings(**options)
    yield Finding(is_well=True, subject="settings", text=f"events go to {settings.url}")
    yield from _try(settings)


def _try(settings: Settings) -> Iterator[Finding]:
    transport = HttpTransport(
        settings.url,
        settings.timeout,
        proxy=settings.proxy,
        ca_file=settings.ca_file,
    )
    began = time.time()
    try:
        response = transport.send(_empty_batch(settings))
    except TransportError as error:
        text = f"no answer: {error}; is the host right, and is the service running?"
        yield Finding(is_well=False, subject="connection", text=text)
        return
    finally:
        transport.close()
    took_ms = (time.time() - began) * 1000
    yield Finding(is_well=True, subject="connection", text=f"{took_ms:.0f} ms")
    yield _judge(response)
    if "date" in response.headers:
        yield _compare_clocks(response.headers["date"], began)


def _empty_batch(settings: Settings) -> Request:
    body = FrozenBatch(new_batch_id(), 0, ()).encode(time.time_ns() // 1_000_000)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"{SDK_NAME}/{__version__}",
        "X-Headwater-Key": settings.write_key,
    }
    return Request(headers, body)


def _judge(response: Response) -> Finding:
    match judge(response, time.time()):
        case Taken():
            return Finding(is_well=True, subject="write key", text="it is known")
        case TryAgain(why=why):
            text = f"not now: {why}; clients wait and try again"
            return Finding(is_well=False, subject="service", text=text)
        case Foreign(why=why):
            text = f"this is not Headwater; is the host right? It said: {why}"
            return Finding(is_well=False, subject="service", text=text)
        case Refused(status=status, code=code, message=message):
            text = f"refused: {status} {code} {message}"
            return Finding(is_well=False, subject="write key", text=text)


def _compare_clocks(date: str, now: float) -> Finding:
    skew_s = now - parsedate_to_datetime(date).timestamp()
    is_well = abs(skew_s) <= MAX_CLOCK_SKEW_S
    text = f"{abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} the service's"
    if not is_well:
        text += "; times of events are corrected by that; set the clock"
    return Finding(is_well=is_well, subject="clock", text=text)


def _look_into(path: Path) -> Finding:
    if not path.exists():
        return Finding(is_well=True, subject="spool", text=f"{path} is not there yet")
    try:
        with transaction(path) as file:
            batches, events = file.count()
            size = file.size()
    except (CorruptFileError, ForeignFileError, OSError, sqlite3.Error) as error:
        text = f"{path} cannot be used: {error}"
        return Finding(is_well=False, subject="spool", text=text)
    text = f"{events} events in {batches} batches, {size} bytes, wait in {path}"
    return Finding(is_well=True, subject="spool", text=text)
