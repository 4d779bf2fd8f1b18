"""The example of the README runs."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_runs(example: str) -> None:
    assert "assert" in example
    exec(compile(example, "README.md", "exec"), {})


def test_there_is_an_example() -> None:
    assert len(EXAMPLES) == 1
