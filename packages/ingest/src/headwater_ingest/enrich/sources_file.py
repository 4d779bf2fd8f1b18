"""Reads source tables: ours, and the operator's own rows on top of it.

The form of the file is described at the head of `data/sources.toml`.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from headwater_ingest.enrich.packaged import read_packaged
from headwater_ingest.enrich.sources import Category, Source, SourceTable
from headwater_ingest.errors import DataFileError

_AS_SENT: Final = "as_sent"


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    hosts: list[str] = []
    tags: list[str] = []
    ads: list[str] = []


class _File(msgspec.Struct, forbid_unknown_fields=True):
    search: dict[str, _Row] = {}
    ai: dict[str, _Row] = {}
    social: dict[str, _Row] = {}
    video: dict[str, _Row] = {}
    shopping: dict[str, _Row] = {}
    email: dict[str, _Row] = {}
    other: dict[str, _Row] = {}
    as_sent: dict[Category, list[str]] = {}


@cache
def packaged_sources() -> SourceTable:
    """Returns the table that comes with Headwater."""
    return SourceTable(_packaged_rows())


def load_sources(path: Path) -> SourceTable:
    """Returns our table with the rows of the file at `path` on top.

    Raises:
        DataFileError: If the file is missing, no TOML, or has another form.
    """
    try:
        rows = tuple(_read_rows(path.read_bytes()))
    except OSError as error:
        raise DataFileError(path, f"cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataFileError(path, f"is no table of sources: {error}") from error
    return SourceTable((*_packaged_rows(), *rows))


@cache
def _packaged_rows() -> tuple[Source, ...]:
    return tuple(_read_rows(read_packaged("sources.toml").encode()))


def _read_rows(content: bytes) -> Iterator[Source]:
    table = msgspec.toml.decode(content, type=_File)
    for category in Category:
        rows: dict[str, _Row] = getattr(table, category)
        for name, row in rows.items():
            yield Source(
                name,
                category,
                _lower(row.hosts),
                _lower(row.tags),
                _lower(row.ads),
            )
    for category, texts in table.as_sent.items():
        yield Source(
            None,
            category,
            hosts=_lower(text for text in texts if "." in text),
            tags=_lower(text for text in texts if "." not in text),
        )


def _lower(texts: Any) -> tuple[str, ...]:
    return tuple(text.lower() for text in texts)
