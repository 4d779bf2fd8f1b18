"""Takes rows out of the archive, by writing the files anew that hold them."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from headwater_ingest.archive.files import (
    list_files,
    locked,
    read_blobs,
    remake_record,
    scan,
    sync_directory,
)
from headwater_ingest.rows import Rows, decode_rows, encode_rows, keep_rows

Choose = Callable[[Rows], Sequence[int]]
"""Returns the places of rows in a set."""


def erase_rows(directory: Path, choose: Choose) -> int:
    """Rewrite the files that hold certain rows, and return how many rows there were.

    The writer may be running; it waits for as long as one file takes.

    Args:
        directory: Of the archive; it need not be there.
        choose: Returns the places of those rows in a set.

    Raises:
        ArchiveDamagedError: A file makes no sense; those before it are done.
    """
    erased = 0
    for path in list_files(directory):
        with locked(directory):
            if path.exists():  # the writer deletes the oldest
                erased += _erase_from(path, choose)
    return erased


def _erase_from(path: Path, choose: Choose) -> int:
    draft = path.with_suffix(".new")
    erased = 0
    with path.open("rb") as old, draft.open("wb") as new:
        os.fchmod(new.fileno(), 0o600)
        for place in scan(old):
            blobs, gone = _without(read_blobs(old, place), choose)
            erased += gone
            if gone:
                rows = place.heading.rows - gone
                heading = msgspec.structs.replace(place.heading, rows=rows)
                new.write(remake_record(heading, blobs))
            else:
                old.seek(place.start)
                new.write(old.read(place.end - place.start))
        new.flush()
        os.fsync(new.fileno())
    if not erased:
        draft.unlink()
        return 0
    draft.replace(path)
    sync_directory(path.parent)
    return erased


def _without(blobs: Sequence[bytes], choose: Choose) -> tuple[list[bytes], int]:
    kept, gone = [], 0
    for blob in blobs:
        rows = decode_rows(blob)
        chosen = set(choose(rows))
        gone += len(chosen)
        stay = [index for index in range(len(rows.event_id)) if index not in chosen]
        if len(stay) == len(rows.event_id):
            kept.append(blob)
        elif stay:
            kept.append(encode_rows(keep_rows(rows, stay)))
    return kept, gone
