"""What we say of 952 agents that people use, beside what Matomo says of them.

The corpus is `data/agents.tsv`; its names of browsers and systems are facts recorded
from Matomo's Device Detector. The share of agents on which both agree is asked for
twice: each agent once, and each as often as it is used.
"""

import csv
from functools import cache
from pathlib import Path

import pytest

from headwater_ingest.enrich.user_agent import Device, DeviceReader

CORPUS = Path(__file__).parent / "data" / "agents.tsv"
AGREEMENT = 0.99


@cache
def corpus() -> list[tuple[dict[str, str], Device | None]]:
    reader = DeviceReader()
    with CORPUS.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [(row, reader.read(row["user_agent"])) for row in rows]


def test_corpus_is_whole() -> None:
    assert len({row["user_agent"] for row, _ in corpus()}) == 952


def test_no_agent_of_people_is_a_bot() -> None:
    assert [row["user_agent"] for row, device in corpus() if device is None] == []


@pytest.mark.parametrize(
    "column",
    ["browser", "browser_version", "operating_system", "operating_system_version"],
)
def test_names_agree_with_those_of_matomo(column: str) -> None:
    agreeing = [
        row for row, device in corpus() if getattr(device, column) == row[column]
    ]
    used = sum(float(row["weight"]) for row in agreeing)
    assert len(agreeing) / len(corpus()) >= AGREEMENT
    assert used / sum(float(row["weight"]) for row, _ in corpus()) >= AGREEMENT


def test_screens_agree_with_matomo_where_it_knows_them() -> None:
    known = [(row, device) for row, device in corpus() if row["screen_size"]]
    agreeing = [
        row for row, device in known if device and device[0] == row["screen_size"]
    ]
    assert len(agreeing) / len(known) >= AGREEMENT
