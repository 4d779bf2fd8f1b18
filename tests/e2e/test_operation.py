"""What an operator meets: readiness, a stop in order, and refusals to start."""

import subprocess
from pathlib import Path

import httpx
import pytest
from tests.e2e.conftest import MakeService
from tests.e2e.support.clickhouse import Database
from tests.e2e.support.processes import (
    INGEST,
    TRACEBACK,
    Process,
    clean_environment,
)
from tests.e2e.support.relay import Relay
from tests.e2e.support.service import Service
from tests.e2e.support.waiting import wait_for

ONE = {"events": [{"event": "clicked", "distinct_id": "user-1"}]}


def run_ingest(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        [INGEST, *arguments],
        env=clean_environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_one_line_says(process: Process, *parts: str) -> None:
    """Asserts that a process has failed, with one line that says all this."""
    assert process.wait() != 0
    errors = [line for line in process.log.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, process.log
    assert [part for part in parts if part not in errors[0]] == []


def test_a_healthy_service_is_ready(service: Service) -> None:
    wait_for(lambda: service.readiness()["status"] == "ready", what="no degradation")

    assert service.readiness()["blocked"] == service.readiness()["degraded"] == []
    assert httpx.get(f"{service.url}/healthz").status_code == 200


def test_without_clickhouse_it_is_ready_and_degraded(
    make_service: MakeService, database: Database
) -> None:
    with Relay(database.address) as relay:
        service = make_service(database.at(relay.port).url, degraded_after_seconds="1")
        service.start()
        wait_for(lambda: service.readiness()["status"] == "ready", what="all well")
        relay.cut()
        assert service.post(ONE).status_code == 200

        wait_for(
            lambda: (
                service.readiness()["degraded"] == ["clickhouse_away", "backlog_old"]
            ),
            what="both reasons",
        )

        assert service.ready_status() == 200
        assert service.metric("headwater_journal_pending_rows") == 1
        assert service.metric("headwater_ready") == 1


def test_while_draining_it_is_not_ready_and_still_takes_events(
    make_service: MakeService, database: Database
) -> None:
    service = make_service(not_ready_seconds="3")
    service.start()
    service.running.terminate()

    wait_for(lambda: service.ready_status() == 503, what="not ready")

    assert service.readiness()["blocked"] == ["draining"]
    assert service.post(ONE).json()["data"]["accepted"] == 1
    assert service.running.wait() == 0
    assert len(database.stored_ids()) == 1


def test_a_full_journal_refuses_and_says_when_to_come_back(
    make_service: MakeService, database: Database
) -> None:
    with Relay(database.address) as relay:
        service = make_service(
            database.at(relay.port).url, journal_max_bytes=str(1024**2)
        )
        service.start()
        relay.cut()
        large = {"event": "e", "distinct_id": "u", "properties": {"x": "y" * 300_000}}
        taken = 0
        while (answer := service.post({"events": [large]})).status_code == 200:
            taken += 1
            assert taken < 10
            large["distinct_id"] = f"u{taken}"

        assert (answer.status_code, answer.json()["code"]) == (503, "journal_full")
        assert int(answer.headers["Retry-After"]) > 0
        assert service.ready_status() == 503
        relay.restore()
        database.wait_for_rows(taken)
        wait_for(lambda: service.ready_status() == 200, what="room in the journal")
        assert service.post({"events": [large]}).status_code == 200


def test_a_second_service_on_the_same_data_directory_says_so(service: Service) -> None:
    second = Service(service.processes, service.data_dir, service.clickhouse_url)

    process = second.launch()

    assert_one_line_says(process, str(service.data_dir), "in use", "HEADWATER_DATA_DIR")
    assert service.ready_status() == 200


def test_a_port_in_use_is_said(service: Service, tmp_path: Path) -> None:
    second = Service(service.processes, tmp_path / "other", service.clickhouse_url)
    second.port = service.port

    process = second.launch()

    assert_one_line_says(process, str(service.port), "in use", "HEADWATER_PORT")


@pytest.mark.parametrize(
    "name,value,part",
    [
        ("port", "many", "a whole number from 0 to 65535"),
        ("prot", "1", "HEADWATER_PORT"),
        ("clickhouse_url", "http://localhost:8123", "clickhouse://"),
    ],
)
def test_a_wrong_setting_is_said(name: str, value: str, part: str) -> None:
    done = run_ingest("serve", **{name: value})

    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert part in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_doctor_finds_a_running_service_healthy(service: Service) -> None:
    wait_for(lambda: service.readiness()["status"] == "ready", what="all well")
    service.post(ONE)
    wait_for(
        lambda: service.metric("headwater_journal_pending_rows") == 0, what="no backlog"
    )

    done = subprocess.run(
        [INGEST, "doctor"],
        env=service.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"ok"}


def test_doctor_and_migrate_say_that_clickhouse_is_away(tmp_path: Path) -> None:
    away = "clickhouse://user:secret@127.0.0.1:1/db"
    for command in ("doctor", "migrate"):
        done = run_ingest(command, clickhouse_url=away, data_dir=str(tmp_path))

        told = done.stdout + done.stderr
        assert done.returncode == 1, told
        assert "cannot reach ClickHouse at 127.0.0.1:1" in told
        assert "secret" not in told
        assert TRACEBACK not in told


def test_migrate_makes_the_tables_and_does_nothing_twice(database: Database) -> None:
    first = run_ingest("migrate", clickhouse_url=database.url)
    second = run_ingest("migrate", clickhouse_url=database.url)

    assert first.stdout.startswith("applied 0001_events"), first.stderr
    assert second.stdout == "the tables are up to date\n"
    assert database.stored_ids() == []


def test_ctrl_c_stops_in_order(make_service: MakeService, database: Database) -> None:
    service = make_service()
    service.start()
    assert service.post(ONE).status_code == 200

    service.running.interrupt()

    assert service.running.wait() == 0
    assert len(database.stored_ids()) == 1
    assert not (service.data_dir / "service.json").exists()
