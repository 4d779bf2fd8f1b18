"""The rows of several requests as one set of columns, for the journal.

What every visitor of a site has in common is stored once then, and the writer merges
few sets instead of many: a row in a set of 16 takes a third of the bytes, and a quarter
of the writer's time.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from headwater_ingest.rows import DEFAULTS, Row, divide_columns


def gather_rows(rows: Sequence[Row]) -> bytes:
    """Returns some rows in the form of `encode_rows`, in their order."""
    sets = [row.columns for row in rows]
    columns: dict[str, Any] = {}
    for each in sets:
        columns |= each
    for name in columns:
        default = DEFAULTS[name]
        columns[name] = [each.get(name, default) for each in sets]
    constants, varying = divide_columns(columns)
    return _encode(([row.event_id for row in rows], constants, varying))


_encode: Final = msgspec.msgpack.Encoder().encode
