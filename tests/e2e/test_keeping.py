"""Refused rows, the archive, erasure and backups, with the service at work."""

import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import uuid4

from tests.e2e.support.clickhouse import Database, embedded_database
from tests.e2e.support.processes import INGEST, Processes
from tests.e2e.support.service import SITE, Service
from tests.e2e.support.waiting import wait_for

from headwater_ingest.clickhouse.client import connect
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse

MakeService = Callable[..., Service]


def send(service: Service, count: int, **event: object) -> list[str]:
    """Posts events in one batch and returns their ids."""
    ids = [str(uuid4()) for _ in range(count)]
    base = {"event": "opened", "distinct_id": "ann", **event}
    events = [{"event_id": each, **base} for each in ids]
    answer = service.post({"batch_id": str(uuid4()), "events": events})
    assert answer.status_code == 200, answer.text
    return ids


def run(service: Service, *arguments: str) -> str:
    """Runs a command on the data directory of a service."""
    done = subprocess.run(
        [INGEST, *arguments],
        env=service.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_bad_rows_do_not_hold_up_good_ones_and_are_replayed_when_they_are_good(
    make_service: MakeService, database: Database
) -> None:
    service = make_service(archive_days="7")
    service.start()
    database.query("ALTER TABLE events ADD CONSTRAINT c CHECK name != 'poison'")
    good = send(service, 20)
    bad = send(service, 3, event="poison", distinct_id="bob")
    good += send(service, 20)
    service.wait_until_written()
    assert sorted(database.stored_ids()) == sorted(good)
    assert service.metric("headwater_writer_dead_letters_total") == 3
    assert run(service, "deadletters", "list").endswith("3 of 3 dead letters\n")

    database.query("ALTER TABLE events DROP CONSTRAINT c")
    assert run(service, "deadletters", "replay", "--all").startswith("3 rows written")
    assert sorted(database.stored_ids()) == sorted(good + bad)

    replayed = run(service, "replay", "--from", "2020-01-01")
    assert replayed.startswith("43 rows found, 43 of them in ClickHouse")
    receipt = run(service, "erase", "--site", SITE, "--distinct-id", "ann")
    assert "0 events have come since" in receipt
    assert sorted(database.stored_ids()) == sorted(bad)
    assert run(service, "replay", "--from", "2020-01-01").startswith("3 rows found, 3")


def test_a_table_that_refuses_everything_stops_the_writer_and_loses_nothing(
    make_service: MakeService, database: Database
) -> None:
    service = make_service(dead_letter_run="5", dead_letter_share="0")
    service.start()
    database.query("ALTER TABLE events ADD CONSTRAINT c CHECK name != 'opened'")
    ids = send(service, 50)

    wait_for(
        lambda: "block_rejected" in service.readiness()["degraded"],
        what="the writer to stop",
    )
    assert service.ready_status() == 200
    assert service.metric("headwater_writer_held", kind="rejected") == 1
    ids += send(service, 5)
    database.query("ALTER TABLE events DROP CONSTRAINT c")
    service.stop()  # or half a minute passes before the next attempt
    service.start()
    service.wait_until_written()
    run(service, "deadletters", "replay", "--all")

    assert sorted(database.stored_ids()) == sorted(ids)


def test_a_copy_of_the_data_directory_is_a_backup_that_goes_on_by_itself(
    make_service: MakeService, processes: Processes, tmp_path: Path
) -> None:
    service = make_service("embedded", archive_days="7")
    service.start()
    ids = send(service, 30)
    service.stop()
    copy = tmp_path / "restored"
    shutil.copytree(service.data_dir, copy, symlinks=True)
    service.start()
    later = send(service, 5)
    service.wait_until_written()
    service.stop()

    restored = Service(processes, copy, "embedded")
    restored.start()
    other = send(restored, 5)
    restored.wait_until_written()
    database = embedded_database(copy)

    assert sorted(database.stored_ids()) == sorted(ids + other)
    assert database.column("SELECT sum(accepted) FROM site_usage") == [35]
    assert not set(later) & set(database.stored_ids())


def test_a_backup_of_a_running_service_and_its_archive_make_it_whole_again(
    make_service: MakeService, processes: Processes, tmp_path: Path
) -> None:
    service = make_service("embedded", archive_days="7")
    service.start()
    ids = send(service, 30)
    service.wait_until_written()
    running = embedded_database(service.data_dir)
    running.query("BACKUP DATABASE headwater TO File('monday')")
    ids += send(service, 5)
    service.wait_until_written()
    copy = tmp_path / "restored"
    backup = Path("clickhouse/backups/monday")
    shutil.copytree(service.data_dir / backup, copy / backup)
    shutil.copytree(service.data_dir / "archive", copy / "archive")
    with (
        closing(sqlite3.connect(service.data_dir / "journal.db")) as journal,
        closing(sqlite3.connect(copy / "journal.db")) as copied,
    ):
        journal.backup(copied)
    service.stop()

    with (
        EmbeddedClickHouse(copy / "clickhouse") as server,
        connect(server.url.without_database()) as client,
    ):
        client.execute("RESTORE DATABASE headwater FROM File('monday')")
    restored = Service(processes, copy, "embedded", {"archive_days": "7"})
    restored.start()
    output = run(restored, "replay", "--from", "2020-01-01")
    other = send(restored, 5)
    restored.wait_until_written()

    assert output.endswith("5 rows written, 0 refused\n")
    assert sorted(embedded_database(copy).stored_ids()) == sorted(ids + other)
