"""Databases of addresses in MaxMind's format, given by the operator.

A database is read from a copy that nobody else can reach: the reader maps the file into
memory, and the operator's may be cut short in place while it does, which would end the
process.
"""

import shutil
import tempfile
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

import maxminddb

from headwater_ingest.enrich.networks import read_address
from headwater_ingest.errors import DataFileError

_FIRST_RECORDS: Final = 100


def open_database(path: Path, *, keys: frozenset[str]) -> maxminddb.Reader:
    """Opens the database at `path`.

    Args:
        path: The file.
        keys: A record of such a database has at least one of these.

    Raises:
        DataFileError: If the file cannot be read, is no database, or is of another
            kind.
    """
    try:
        reader = _open_copy(path)
        found = _find_keys(reader)
    except OSError as error:
        raise DataFileError(path, f"cannot be read: {error.strerror}") from error
    except (maxminddb.InvalidDatabaseError, UnicodeDecodeError, ValueError) as error:
        raise DataFileError(path, f"is no MaxMind database: {error}") from error
    if found.isdisjoint(keys):
        wanted = ", ".join(f"`{key}`" for key in sorted(keys))
        raise DataFileError(
            path, f"is another kind of database: its records lack {wanted}"
        )
    return reader


def find_record(reader: maxminddb.Reader, ip: str) -> Mapping[str, Any]:
    """Returns the record of the address that `ip` spells; empty if there is none."""
    address = read_address(ip)
    if address is None:
        return {}
    try:
        record = reader.get(address)
    except (maxminddb.InvalidDatabaseError, ValueError):
        return {}  # damaged there, or IPv6 in a database of IPv4
    return record if isinstance(record, dict) else {}


def _open_copy(path: Path) -> maxminddb.Reader:
    with tempfile.NamedTemporaryFile(prefix="headwater-") as copy:
        with path.open("rb") as original:
            shutil.copyfileobj(original, copy, 1024 * 1024)
        copy.flush()
        return maxminddb.open_database(copy.name)


def _find_keys(reader: maxminddb.Reader) -> set[str]:
    """Returns the keys of the first records, which tell the kind of the database."""
    records = (record for _, record in islice(reader, _FIRST_RECORDS))
    return {key for record in records if isinstance(record, dict) for key in record}
