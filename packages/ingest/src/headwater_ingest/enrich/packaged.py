"""The data files that come with Headwater."""

import csv
from collections.abc import Iterable
from importlib.resources import files


def read_packaged(name: str) -> str:
    """Returns the text of a data file."""
    data = files("headwater_ingest.enrich") / "data" / name
    return data.read_text(encoding="utf-8")


def read_packaged_csv(name: str) -> Iterable[dict[str, str]]:
    """Returns the rows of a data file by the names in its first line."""
    return csv.DictReader(read_packaged(name).splitlines())
