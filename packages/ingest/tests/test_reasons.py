"""Which reasons the service gives, held against what the schema says of them."""

import re
from pathlib import Path

import headwater_ingest
from headwater_schema.outcomes import RESERVED, Reason

SOURCES = Path(headwater_ingest.__file__).parent
DECODED = {Reason.MALFORMED_EVENT, Reason.EVENT_TOO_LARGE}
"""Given by the codec of the schema."""


def test_the_reasons_that_nothing_gives_are_those_that_are_reserved() -> None:
    paths = [path for path in SOURCES.rglob("*.py") if path.name != "hints.py"]
    text = "".join(path.read_text("utf-8") for path in paths)
    given = {Reason[name] for name in re.findall(r"\bReason\.([A-Z_]+)\b", text)}

    assert set(Reason) - given - DECODED == RESERVED
