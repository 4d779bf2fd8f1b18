"""`headwater-ingest explain`, on a data directory that a test fills."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from headwater_ingest.cli import cli as commands

if TYPE_CHECKING:
    from pathlib import Path

KEY = "hw_0123456789abcdef"
SITES = f"""\
[[site]]
domain = "shop.example"
write_key = "{KEY}"
blocked_pages = ["/admin/*"]

[[site]]
domain = "small.example"
write_key = "hw_fedcba9876543210"
rate_limit = 1
"""


@dataclass(frozen=True)
class Explainer:
    """Runs the command.

    Attributes:
        folder: The data directory.
    """

    folder: Path

    def run(self, text: str | bytes, *options: str) -> Result:
        """Runs it with a request on standard input."""
        return CliRunner().invoke(
            commands,
            ["explain", *options],
            input=text,
            env={"HEADWATER_DATA_DIR": str(self.folder)},
            catch_exceptions=False,
        )

    def explain(self, text: str | bytes, *options: str) -> dict[str, Any]:
        """Returns the JSON about a request, which must be understood."""
        result = self.run(text, "--json", *options)
        assert result.exit_code == 0, result.output
        explanation: dict[str, Any] = json.loads(result.stdout)
        return explanation

    def files(self) -> dict[str, tuple[int, bytes]]:
        """Returns what is in the data directory: when it was written, and what."""
        return {
            str(each.relative_to(self.folder)): (
                each.stat().st_mtime_ns,
                each.read_bytes(),
            )
            for each in self.folder.rglob("*")
            if each.is_file()
        }


@pytest.fixture
def explainer(tmp_path: Path) -> Explainer:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "sites.toml").write_text(SITES)
    return Explainer(folder)
