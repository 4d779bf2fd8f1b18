"""The command `headwater-schema`: writes the schema files and the reference page.

They are made from the structs and enums of this package and checked in; with `--check`
the command says which of them no longer agree with the code.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from headwater_schema._json_schema import ROOTS, document
from headwater_schema._openapi import openapi
from headwater_schema._reference import render_reasons

__all__ = ["main", "render_reasons", "render_schemas"]


def render_schemas() -> dict[str, str]:
    """Returns the schema files, by name."""
    documents = {f"{name}.schema.json": document(root) for name, root in ROOTS.items()}
    documents["openapi.json"] = openapi()
    return {name: json.dumps(each, indent=2) + "\n" for name, each in documents.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    chosen = _parser().parse_args(arguments)
    files = {chosen.directory / name: text for name, text in render_schemas().items()}
    if chosen.reasons:
        files[chosen.reasons] = render_reasons()
    try:
        return _check(files) if chosen.check else _write(files)
    except OSError as error:
        sys.stderr.write(f"headwater-schema: {error}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="headwater-schema", description="The wire format of Headwater as files."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    export = commands.add_parser("export", help="write JSON Schema and OpenAPI files")
    export.add_argument(
        "directory",
        nargs="?",
        type=Path,
        default=Path("schema"),
        metavar="DIR",
        help="where the schema files are (default: %(default)s)",
    )
    export.add_argument(
        "--reasons",
        type=Path,
        metavar="FILE",
        help="also write the reference page of outcomes, reasons and error codes",
    )
    export.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit with 1 if a file differs from what would be written",
    )
    return parser


def _check(files: Mapping[Path, str]) -> int:
    stale = [path for path, text in files.items() if _read(path) != text]
    for path in stale:
        sys.stdout.write(f"{path} is stale: run the same command without --check\n")
    return 1 if stale else 0


def _write(files: Mapping[Path, str]) -> int:
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path}\n")
    return 0


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
