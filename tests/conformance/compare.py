"""Compares what a case expects with what there is, as `meta.conventions` says."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

_MAX_SHOWN = 300


@dataclass(slots=True)
class Findings:
    """What is not as expected; each a line with both."""

    lines: list[str] = field(default_factory=list)

    def expect(self, name: str, expected: object, got: object) -> None:
        """Compares one value."""
        if not same(expected, got):
            self.add(name, expected, got)

    def expect_fields(
        self, name: str, expected: Mapping[str, Any], got: Mapping[str, Any] | None
    ) -> None:
        """Compares those fields of a row that the case lists."""
        if got is None:
            self.lines.append(f"{name}: expected a row, got none")
            return
        for key, value in expected.items():
            column, _, how = key.partition("#")
            if column not in got:
                self.lines.append(f"{name}.{key}: there is no such field")
            elif not _holds(how, value, got[column]):
                self.add(f"{name}.{key}", value, got[column])

    def expect_rows(
        self,
        name: str,
        expected: Sequence[Mapping[str, Any]],
        got: Sequence[Mapping[str, Any]],
    ) -> None:
        """Compares all rows, in their order."""
        self.expect(f"number of {name}", len(expected), len(got))
        for index, (wanted, row) in enumerate(zip(expected, got, strict=False)):
            self.expect_fields(f"{name}[{index}]", wanted, row)

    def expect_headers(
        self, expected: Mapping[str, str | None], got: Mapping[str, str]
    ) -> None:
        """Compares headers; null means that there is none of the name."""
        for key, value in expected.items():
            name, _, how = key.partition("#")
            found = got.get(name.lower())
            if how == "contains":
                is_right = value is not None and value in (found or "")
            else:
                is_right = value == found
            if not is_right:
                self.add(f"header {key}", value, found)

    def add(self, name: str, expected: object, got: object) -> None:
        """Notes a difference."""
        self.lines.append(f"{name}: expected {_show(expected)}, got {_show(got)}")


def same(expected: object, got: object) -> bool:
    """Whether two values are equal as the cases mean it."""
    got = plain(got)
    if isinstance(expected, Mapping):
        return (
            isinstance(got, Mapping)
            and expected.keys() == got.keys()
            and all(same(value, got[key]) for key, value in expected.items())
        )
    if isinstance(expected, list):
        return (
            isinstance(got, list)
            and len(expected) == len(got)
            and all(map(same, expected, got))
        )
    if isinstance(got, Decimal):
        return _as_number(expected) == got
    return expected == got


def plain(value: object) -> object:
    """Returns a stored value as cases write it."""
    match value:
        case bytes():
            return value.decode("utf-8", "replace").rstrip("\0")
        case str():
            return value.rstrip("\0")
        case tuple():
            return list(value)
        case datetime() | date():
            return value.isoformat()
        case _:
            return value


def relate(rows: Iterable[Mapping[str, Any]], column: str) -> str:
    """Says whether a column is the same in all rows, or different in all."""
    values = [row[column] for row in rows]
    if len(values) < 2:
        return f"in {len(values)} rows"
    if len(set(values)) == 1:
        return "same"
    return "different" if len(set(values)) == len(values) else f"mixed: {values}"


def _holds(how: str, expected: Any, got: Any) -> bool:
    got = plain(got)
    match how:
        case "":
            return same(expected, got)
        case "len":
            return bool(len(got) == expected)
        case "contains":
            wanted = expected if isinstance(expected, list) else [expected]
            return all(each in got for each in wanted)
        case _:
            return False


def _as_number(value: object) -> Decimal | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None


def _show(value: object) -> str:
    text = repr(plain(value))
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
