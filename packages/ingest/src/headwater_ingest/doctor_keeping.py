"""What `doctor` says of rows that are kept: refused ones, the archive, retention."""

import sqlite3
from collections.abc import Iterator

from headwater_ingest.archive import list_files
from headwater_ingest.errors import HeadwaterError
from headwater_ingest.findings import Finding, fail, ok, warn
from headwater_ingest.journal.database import FILE_NAME, explain
from headwater_ingest.journal.dead_letters import DeadLetters
from headwater_ingest.journal.peek import open_for_reading
from headwater_ingest.settings import Settings
from headwater_ingest.sites.known_sites import KnownSites

_FIRST_FORMAT = 3  # of a journal that has dead letters
_SHOWN = 5


def look_at_keeping(settings: Settings) -> Iterator[Finding]:
    """Run the checks of this module."""
    yield _dead_letters(settings)
    yield _archive(settings)
    yield _retention(settings)


def _dead_letters(settings: Settings) -> Finding:
    try:
        number = _count_dead_letters(settings)
    except HeadwaterError as error:
        return fail("dead letters", str(error))
    if number:
        return warn(
            "dead letters",
            f"{number} rows were refused by ClickHouse and wait for you: "
            "`headwater-ingest deadletters list`",
        )
    return ok("dead letters", "none")


def _count_dead_letters(settings: Settings) -> int:
    path = settings.data_dir / FILE_NAME
    if not path.exists():
        return 0
    try:
        with open_for_reading(path) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            letters = DeadLetters(connection, path)
            return letters.count() if version >= _FIRST_FORMAT else 0
    except sqlite3.Error as error:
        raise explain(error, path) from error


def _archive(settings: Settings) -> Finding:
    files = list_files(settings.archive_dir)
    size = sum(each.stat().st_size for each in files)
    if not settings.archive_days:
        left = f"; {len(files)} files of an earlier one are there" if files else ""
        return ok("archive", f"is off (archive_days){left}")
    since = f" since {files[0].stem} h" if files else ""
    return ok(
        "archive",
        f"{len(files)} files{since}, {size} of {settings.archive_max_bytes} bytes, "
        f"kept for {settings.archive_days} days",
    )


def _retention(settings: Settings) -> Finding:
    records = KnownSites.read(settings.data_dir).records
    kept = [each for each in records if each.retention_days is not None]
    if not kept:
        return ok("retention", "every site keeps its events for ever")
    told = [f"{each.domain} {each.retention_days} days" for each in kept[:_SHOWN]]
    if len(kept) > _SHOWN:
        told.append(f"{len(kept) - _SHOWN} more")
    others = len(records) - len(kept)
    told.append(f"sites that keep theirs for ever: {others}")
    return ok("retention", ", ".join(told))
