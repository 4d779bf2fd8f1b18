"""Tables for people, and the same figures as JSON for whoever wants to compare."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

OUTPUT: Final = "HEADWATER_BENCH_OUT"
"""Variable with the file that figures are appended to, a line of JSON per row."""

Figures = Mapping[str, Sequence[float]]


def print_table(title: str, rows: Mapping[str, Figures]) -> None:
    """Prints a row per name: the medians of its figures, and their spread."""
    columns = list(next(iter(rows.values())))
    print(f"\n| {title} | {' | '.join(columns)} |")
    print("| --- " * (len(columns) + 1) + "|")
    for name, figures in rows.items():
        cells = " | ".join(show(figures[column]) for column in columns)
        print(f"| {name} | {cells} |", flush=True)
        _write({"table": title, "row": name, "figures": figures})


def show(values: Sequence[float]) -> str:
    """Returns a median with its spread."""
    middle = _number(median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({_number(min(values))}–{_number(max(values))})"  # noqa: RUF001


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _write(row: object) -> None:
    if name := os.environ.get(OUTPUT):
        with Path(name).open("ab") as file:
            file.write(msgspec.json.encode(row) + b"\n")
