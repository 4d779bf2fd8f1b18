"""Options that several commands have: where events go."""

import argparse
from typing import Any

from headwater._environment import read_environment
from headwater._settings import Options, Settings


def add_destination(parser: argparse.ArgumentParser) -> None:
    """Adds `--host`, `--write-key` and what else it takes to reach the service."""
    parser.add_argument(
        "--host", metavar="URL", help="the service (default: HEADWATER_HOST)"
    )
    parser.add_argument(
        "--write-key",
        metavar="KEY",
        help="the site (default: HEADWATER_WRITE_KEY, which others cannot see in ps)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="for each step of a request (default: 10)",
    )


def read_destination(chosen: argparse.Namespace) -> dict[str, Any]:
    """Returns the options of a client, of the command line and the environment.

    Raises:
        SettingsError: They are wrong, or one is missing.
    """
    given = {
        name: getattr(chosen, name)
        for name in ("host", "write_key", "timeout")
        if getattr(chosen, name) is not None
    }
    known = Options.__annotations__.keys() | {"host", "write_key"}
    found = {k: v for k, v in read_environment().items() if k in known}
    options: dict[str, Any] = {"host": "", "write_key": "", **found, **given}
    # A command is there to send, and keeps to its own file.
    options |= {"disabled": False, "spool": None}
    Settings(**options)
    return options
