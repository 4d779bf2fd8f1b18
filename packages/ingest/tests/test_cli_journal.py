"""`headwater-ingest journal`: what operators see of a journal, and do with it."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner

from headwater_ingest.cli import run
from headwater_ingest.cli_journal import journal as commands
from headwater_ingest.journal import Count, Entry, Journal, JournalReader, care
from headwater_ingest.journal.database import FILE_NAME
from headwater_ingest.rows import Rows, encode_rows
from headwater_ingest.settings import Settings
from headwater_ingest.settings_reader import LoadedSettings
from headwater_ingest.sites.known_sites import KnownSites
from headwater_ingest.sites.record import SiteRecord

ROWS = 300


def make_entry(number: int) -> Entry:
    ids = [UUID(int=number * 1000 + row) for row in range(ROWS)]
    return Entry(
        site_id=7,
        batch_id=number.to_bytes(16),
        event_ids=b"".join(each.bytes for each in ids),
        rows=encode_rows(
            Rows(
                [each.bytes for each in ids],
                {"site_id": 7},
                {"name": [f"event {each.int}" for each in ids]},
            )
        ),
        row_count=ROWS,
        answer=b"{}",
        ids_digest=b"",
        counts=(Count(7, "accepted", "", ROWS),),
    )


def append(directory: Path, *numbers: int) -> None:
    async def run_journal(journal: Journal) -> None:
        for number in numbers:
            await journal.append(make_entry(number))

    with closing(Journal.open(directory, max_bytes=1 << 30)) as journal:
        asyncio.run(run_journal(journal))


def write_all(directory: Path) -> None:
    with closing(JournalReader(directory)) as reader:
        while block := reader.next_block(1000, 0):
            reader.checkpoint(block)


def invoke(directory: Path, *arguments: str) -> str:
    settings = LoadedSettings(Settings(data_dir=directory), {})
    result = CliRunner().invoke(
        commands, arguments, obj=lambda: settings, catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_status_accounts_for_all_events(tmp_path: Path) -> None:
    append(tmp_path, 1)
    write_all(tmp_path)
    append(tmp_path, 2)

    told = invoke(tmp_path, "status")

    assert "pending     300 rows" in told
    assert "block       none in hand" in told
    assert "window      600 of 20000000 event ids, the last 0 s" in told
    assert "site        7: the accounts close" in told
    assert "received  600 = 600 accepted + 0 duplicate" in told
    assert "accepted  600 = 300 written + 0 dead_lettered" in told
    assert "+ 300 pending" in told


def test_the_status_names_the_sites_that_the_node_knows(tmp_path: Path) -> None:
    append(tmp_path, 1)
    KnownSites((SiteRecord(id=7, domain="a.example"),)).write(tmp_path)

    assert "site        a.example: the accounts close" in invoke(tmp_path, "status")


def test_the_export_has_every_row_that_waits(tmp_path: Path) -> None:
    append(tmp_path, 1)
    write_all(tmp_path)
    append(tmp_path, 2, 3)

    lines = [json.loads(line) for line in invoke(tmp_path, "export").splitlines()]

    assert [UUID(line["event_id"]).int for line in lines] == [
        number * 1000 + row for number in (2, 3) for row in range(ROWS)
    ]
    assert lines[0] == {
        "event_id": str(UUID(int=2000)),
        "site_id": 7,
        "name": "event 2000",
    }
    assert invoke(tmp_path, "export") == invoke(tmp_path, "export"), "nothing was taken"


def test_the_export_goes_to_a_file(tmp_path: Path) -> None:
    append(tmp_path, 1)
    path = tmp_path / "rows.jsonl"

    assert invoke(tmp_path, "export", "--output", str(path)) == ""
    assert len(path.read_text().splitlines()) == ROWS


def test_compacting_gives_back_what_rows_have_left(tmp_path: Path) -> None:
    append(tmp_path, *range(1, 100))
    write_all(tmp_path)
    append(tmp_path, 100)

    told = invoke(tmp_path, "compact")

    before, after = [int(word) for word in told.split() if word.isdigit()]
    assert after == (tmp_path / FILE_NAME).stat().st_size < before
    assert len(invoke(tmp_path, "export").splitlines()) == ROWS


def test_a_journal_in_use_is_not_compacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADWATER_DATA_DIR", str(tmp_path))
    with closing(Journal.open(tmp_path, max_bytes=1 << 20)):
        assert run(["journal", "compact"]) == 1
    assert "is in use by process" in capsys.readouterr().err
    with closing(JournalReader(tmp_path)):
        assert run(["journal", "compact"]) == 1
    assert run(["journal", "compact"]) == 0


def test_a_journal_that_somebody_reads_is_not_compacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    append(tmp_path, 1)
    monkeypatch.setenv("HEADWATER_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(care, "READERS_MS", 0)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM chunks").fetchall()
        write_all(tmp_path)
        assert run(["journal", "compact"]) == 1
    assert "another program reads" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["status", "export", "compact"])
def test_without_a_journal_it_says_where_it_looked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    monkeypatch.setenv("HEADWATER_DATA_DIR", str(tmp_path))

    assert run(["journal", command]) == 1

    assert f"there is no journal in {tmp_path}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_damaged_rows_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    append(tmp_path, 1)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        connection.execute("UPDATE chunks SET body = x'c1'")
    monkeypatch.setenv("HEADWATER_DATA_DIR", str(tmp_path))

    assert run(["journal", "export"]) == 1

    assert "the rows from 1 on" in capsys.readouterr().err
