"""docs/sdk is true: its snippets run, its tables are those of the code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from headwater import Client
from headwater._environment import VARIABLES
from headwater._settings import Options, Settings
from headwater.cli import main
from headwater.integrations._requests import WebOptions
from headwater.testing import FakeServer

DOCS = Path(__file__).parents[3] / "docs" / "sdk"
PAGES = sorted(page.name for page in DOCS.glob("*.md"))
HOST = "https://events.example.com"
DEADLINE_S = 120

EVENTS = {
    "quickstart.md": [
        "order_completed",
        "invoice_opened",
        "invoice_paid",
        "$identify",
        "$create_alias",
        "$set",
        "$set",
        "$set",
        "$set",
        "$groupidentify",
        "$exception",
        "Subscription Started",
        "order_shipped",
    ],
    "guarantees.md": ["order_completed"],
    "options.md": ["signed_up"],
    "frameworks.md": [],
    "testing.md": [],
    "command-line.md": [],
    "migration.md": [
        "order_completed",
        "$set",
        "$set",
        "$groupidentify",
        "$create_alias",
        "invoice_opened",
        "$identify",
        "Item Purchased",
        "pageview",
    ],
}
"""What the snippets of each page send."""


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


# A busy machine is not what is tested here.
PATIENT = {"HEADWATER_EXIT_TIMEOUT": "60"}


def environment(server: FakeServer) -> dict[str, str]:
    given = {"HEADWATER_HOST": server.url, "HEADWATER_WRITE_KEY": "key"}
    return {**os.environ, **PATIENT, **given}


def test_every_page_is_known_here() -> None:
    assert sorted(EVENTS) == PAGES


@pytest.mark.parametrize("page", PAGES)
def test_snippets_run_and_their_events_arrive(page: str, tmp_path: Path) -> None:
    with FakeServer() as server:
        code = "\n".join(blocks(page, "python")).replace(HOST, server.url)
        script = tmp_path / "test_page.py"
        script.write_text(code.replace("/tmp/headwater", str(tmp_path / "headwater")))
        done = subprocess.run(
            [sys.executable, script],
            check=False,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            env=environment(server),
        )
        assert done.returncode == 0, done.stderr
        # Clients of their own send at the same time as the default one.
        names = sorted(event.event for event in server.events)
    assert names == sorted(EVENTS[page])


def test_tests_in_the_page_about_tests_pass(tmp_path: Path) -> None:
    (tmp_path / "test_page.py").write_text("\n".join(blocks("testing.md", "python")))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path],
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        cwd=tmp_path,
        env={**os.environ, **PATIENT},
    )
    assert "1 passed" in done.stdout, done.stdout


COMMANDS = [
    line
    for page in PAGES
    for block in blocks(page, "sh")
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("headwater ")
]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_pages_run(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "events.ndjson").write_text('{"event": "a", "distinct_id": "b"}\n')
    (tmp_path / "events.csv").write_text("event,distinct_id\na,b\n")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "events.py").write_text(
        "import headwater\nclass Paid(headwater.Event):\n    amount: int\n"
    )
    monkeypatch.chdir(tmp_path)
    arguments = command.partition("#")[0].split()[1:]
    with FakeServer() as server:
        for name, value in environment(server).items():
            monkeypatch.setenv(name, value)
        if "--check" in arguments:
            main([each for each in arguments if each != "--check"])
        assert main(arguments) == 0
    for module in ("shop", "shop.events"):
        sys.modules.pop(module, None)


def rows(page: str) -> dict[str, str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.MULTILINE))


def test_page_of_options_has_every_option_and_its_default() -> None:
    settings = Settings(write_key="key", host="http://localhost")
    shown = {name: text for name, text in rows("options.md").items() if name.islower()}
    assert shown == {
        name: f"`{getattr(settings, name)!r}`" for name in Options.__annotations__
    }


def test_page_of_options_has_every_variable() -> None:
    shown = {name: text for name, text in rows("options.md").items() if name.isupper()}
    assert shown == {
        f"HEADWATER_{option.upper()}": expected
        for option, (_, expected) in VARIABLES.items()
    }


def test_page_of_frameworks_has_every_option() -> None:
    assert set(rows("frameworks.md")) == {*WebOptions.__annotations__, "distinct_id"}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (DOCS / link).exists(), link


def test_calls_that_are_migrated_to_exist() -> None:
    text = (DOCS / "migration.md").read_text(encoding="utf-8")
    ours = re.findall(r"^\| .*? \| (.*) \|$", text, re.MULTILINE)
    names = set(re.findall(r"`(\w+)\(", " ".join(ours)))
    assert names > {"alias", "capture", "flush"}
    assert names - {"Client", "on_error"} <= set(dir(Client))
