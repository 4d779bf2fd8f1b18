"""`headwater schema export`: the typed events of a code base as JSON Schema."""

import argparse
import json
import sys
from pathlib import Path

from headwater._errors import HeadwaterError
from headwater._typed_schema import export_schema, load_events


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = commands.add_parser("schema", help="the typed events of a code base")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    export = actions.add_parser(
        "export",
        help="write their JSON Schema",
        description="Writes the JSON Schema of the typed events of a module.",
    )
    export.add_argument("module", help="such as shop.events")
    export.add_argument("-o", "--output", type=Path, metavar="FILE")
    export.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit with 1 if FILE differs from what would be written",
    )
    export.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Exports, or checks what was exported.

    Raises:
        HeadwaterError: The module cannot be imported or has no events.
    """
    if chosen.check and chosen.output is None:
        raise HeadwaterError("--check needs --output FILE to look at")
    text = _render(chosen.module)
    if chosen.output is None:
        sys.stdout.write(text)
    elif not chosen.check:
        chosen.output.write_text(text, encoding="utf-8")
    elif not chosen.output.exists() or chosen.output.read_text("utf-8") != text:
        sys.stderr.write(f"{chosen.output} is stale: run this without --check\n")
        return 1
    return 0


def _render(module: str) -> str:
    # As with `python -m`, the module may be one of the present folder.
    sys.path.insert(0, "")
    try:
        events = load_events(module)
    except ImportError as error:
        raise HeadwaterError(f"cannot import {module}: {error}") from error
    finally:
        sys.path.remove("")
    if not events:
        raise HeadwaterError(f"{module} has no subclasses of headwater.Event")
    return json.dumps(export_schema(events, f"Events of {module}"), indent=2) + "\n"
