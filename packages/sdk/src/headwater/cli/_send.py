"""`headwater send`: one event, now."""

import argparse
import json
import sys
from typing import Any

from headwater._client import Client
from headwater._errors import ReportedError
from headwater._reporter import CapturedEvent
from headwater.cli._options import add_destination, read_destination


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "send",
        help="send one event",
        description="Sends one event, and prints its id when the service has it.",
        epilog="example: headwater send order_completed -d user-1 -p amount=49.99",
    )
    parser.add_argument("event", help="what happened")
    parser.add_argument("-d", "--distinct-id", required=True, help="who did it")
    parser.add_argument(
        "-p",
        "--property",
        action="append",
        default=[],
        type=_read_property,
        metavar="NAME=VALUE",
        help="a property; the value is JSON, or text where it is none",
    )
    parser.add_argument(
        "-g",
        "--group",
        action="append",
        default=[],
        type=_read_group,
        metavar="TYPE=KEY",
        help="a group",
    )
    add_destination(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Sends the event."""
    complaints: list[str] = []

    def complain(error: ReportedError, _events: list[CapturedEvent]) -> None:
        complaints.append(str(error))

    with Client(on_error=complain, **read_destination(chosen)) as client:
        event_id = client.capture(
            chosen.distinct_id,
            chosen.event,
            dict(chosen.property),
            groups=dict(chosen.group),
        )
        client.flush()
    sys.stderr.writelines(f"headwater: {each}\n" for each in complaints)
    if client.stats().delivered != 1:
        return 1
    sys.stdout.write(f"{event_id}\n")
    return 0


def _read_property(text: str) -> tuple[str, Any]:
    name, value = _read_group(text)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _read_group(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value
