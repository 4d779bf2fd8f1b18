"""The page that shows `explain` at work shows what it really prints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from headwater_ingest.cli import cli as commands

PAGE: Final = Path(__file__).parents[4] / "docs/explain.md"
EXAMPLE: Final = re.compile(
    r"```sh\nheadwater-ingest explain (.*?) <<'END'\n(.*?)END\n```\n\n"
    r"```text\n(.*?)```",
    re.DOTALL,
)
SITE: Final = re.compile(r"```toml\n(.*?)```", re.DOTALL)
WEB_ID: Final = re.compile(r"(event_id +)\S+")
"""Ids of web events differ each time."""

EXAMPLES: Final = EXAMPLE.findall(PAGE.read_text())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (site,) = SITE.findall(PAGE.read_text())
    (tmp_path / "data/sites.toml").write_text(site)
    return tmp_path


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("options,text,shown", EXAMPLES)
def test_an_example_prints_what_the_page_shows(
    folder: Path, options: str, text: str, shown: str
) -> None:
    result = CliRunner().invoke(commands, ["explain", *options.split()], input=text)

    assert result.exit_code == 0
    assert WEB_ID.sub(r"\1…", result.stdout) == WEB_ID.sub(r"\1…", shown)
