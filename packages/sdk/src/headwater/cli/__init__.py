"""The command `headwater`: send events, import files, look for faults.

Exit status: 0 all is well, 1 something was lost or wrong, 2 the command was not
understood, 130 interrupted.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Final

from headwater._errors import HeadwaterError
from headwater._version import __version__
from headwater.cli import _doctor, _import, _schema, _send

_INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    chosen = _parser().parse_args(arguments)
    # What a client logs, the commands say in their own words.
    logging.getLogger("headwater").addHandler(logging.NullHandler())
    run: Callable[[argparse.Namespace], int] = chosen.run
    try:
        return run(chosen)
    except (HeadwaterError, OSError) as error:
        sys.stderr.write(f"headwater: {error}\n")
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="headwater", description="Events for Headwater, from the command line."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (_send, _import, _doctor, _schema):
        module.add_to(commands)
    return parser
