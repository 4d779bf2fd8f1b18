"""What `doctor` says of refused rows, the archive and retention."""

import asyncio
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from headwater_ingest.archive import ArchiveWriter, Keeping
from headwater_ingest.doctor_keeping import look_at_keeping
from headwater_ingest.findings import Finding, Level
from headwater_ingest.journal import DeadLetter, Entry, Journal, JournalReader
from headwater_ingest.settings import Settings
from headwater_ingest.sites.known_sites import KnownSites
from headwater_ingest.sites.record import SiteRecord


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


def findings(settings: Settings) -> dict[str, Finding]:
    return {each.subject: each for each in look_at_keeping(settings)}


def test_with_nothing_there_all_is_well(settings: Settings) -> None:
    found = findings(settings)

    assert {each.level for each in found.values()} == {Level.OK}
    assert found["dead letters"].detail == "none"
    assert found["archive"].detail == "is off (archive_days)"
    assert found["retention"].detail == "every site keeps its events for ever"


def test_dead_letters_are_a_warning(settings: Settings) -> None:
    event_id = uuid4()
    entry = Entry(
        site_id=7,
        batch_id=b"b" * 16,
        event_ids=event_id.bytes,
        rows=b"rows",
        row_count=1,
        answer=b"{}",
        ids_digest=b"",
    )
    with closing(Journal.open(settings.data_dir, max_bytes=1 << 20)) as journal:
        asyncio.run(journal.append(entry))
    letter = DeadLetter(
        site_id=7,
        event_id=UUID(int=1),
        name="",
        distinct_id="",
        error="no",
        at_ms=1,
        row=b"",
    )
    with closing(JournalReader(settings.data_dir)) as reader:
        block = reader.next_block(10, 0)
        assert block is not None
        reader.checkpoint(block, [letter])

    found = findings(settings)["dead letters"]

    assert found.level is Level.WARN
    assert found.detail.startswith("1 rows were refused")


def test_a_journal_that_cannot_be_read_is_told(settings: Settings) -> None:
    (settings.data_dir / "journal.db").write_bytes(b"x" * 5000)

    assert findings(settings)["dead letters"].level is Level.FAIL


def test_the_archive_says_how_far_back_it_reaches(settings: Settings) -> None:
    writer = ArchiveWriter(
        settings.archive_dir,
        Keeping(days=3, max_bytes=1 << 30),
        clock_ms=lambda: 1_790_000_000_000,
    )
    writer.append("token", [], [])

    on = findings(replace(settings, archive_days=3))["archive"].detail
    off = findings(settings)["archive"].detail

    assert on.startswith("1 files since 2026-09-21T14 h")
    assert on.endswith("kept for 3 days")
    assert off.endswith("1 files of an earlier one are there")


def test_sites_with_a_retention_are_named(settings: Settings) -> None:
    sites = [
        SiteRecord(id=each, domain=f"{each}.example", retention_days=each or None)
        for each in range(8)
    ]
    KnownSites(tuple(sites)).write(settings.data_dir)

    detail = findings(settings)["retention"].detail

    assert detail.startswith("1.example 1 days, 2.example 2 days")
    assert detail.endswith("2 more, sites that keep theirs for ever: 1")
