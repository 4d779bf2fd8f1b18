"""The README is true: its snippets run, its table of options is that of the code."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headwater import Client
from headwater._settings import Options, Settings

if TYPE_CHECKING:
    from packages.sdk.tests.conftest import ScriptedServer

README = (Path(__file__).parents[1] / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_snippets_run_and_their_events_arrive(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, object] = {}
    for snippet in SNIPPETS:
        exec(snippet.replace("https://events.example.com", server.url), names)
    arrived = server.received.events
    mine = [name for name in arrived if name not in {"signed_up", "logged_in"}]
    assert arrived.count("signed_up") == arrived.count("logged_in") == 1
    assert mine == [
        "order_completed",
        "$identify",
        "$groupidentify",
        "$create_alias",
        "invited",
        "cart_opened",
        "$set",
        "$set",
        "$exception",
        "refunded",
    ]
    printed = capsys.readouterr().out
    assert printed.startswith("10 0 0 False\n")
    assert "events lost: 1, invalid_event" in printed
    assert "captured=1" in printed


def test_table_names_every_option_and_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", README, re.MULTILINE))
    settings = Settings(write_key="key", host="http://localhost")
    assert [*rows] == [*Options.__annotations__, "transport"]
    for name in Options.__annotations__:
        shown = rows[name].strip("`").replace(",", "")
        number, mebi, _ = shown.partition(" MiB")
        default = getattr(settings, name)
        assert str(default) == (str(int(number) * 1024**2) if mebi else shown)


@pytest.mark.parametrize("name", [*Options.__annotations__, "transport"])
def test_docstring_describes_every_option(name: str) -> None:
    assert f"\n    {name}: " in (inspect.getdoc(Client) or "")
