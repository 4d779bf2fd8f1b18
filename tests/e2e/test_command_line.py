"""The command `headwater` and a spool, against the real service and ClickHouse."""

import json
from pathlib import Path

import pytest
from tests.e2e.conftest import MakeService
from tests.e2e.support.clickhouse import Database
from tests.e2e.support.service import KEY, Service

from headwater import Client
from headwater.cli import main

COUNT = 7_000


def test_file_that_is_imported_twice_is_stored_once(
    service: Service,
    database: Database,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = [
        json.dumps({"event": f"e{n}", "distinct_id": "u", "timestamp": 1.7e12 + n})
        for n in range(COUNT)
    ]
    path = tmp_path / "events.ndjson"
    path.write_text("\n".join(lines))
    command = ["import", str(path), "--host", service.url, "--write-key", KEY]
    for _ in range(2):
        assert main(command) == 0
        assert capsys.readouterr().out == f"{COUNT} events sent, 0 not\n"
    assert service.accepted == COUNT
    assert service.duplicates == COUNT
    database.wait_for_rows(COUNT)
    assert len(set(database.stored_ids())) == COUNT


def test_doctor_is_content_with_the_service(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--host", service.url, "--write-key", KEY]) == 0
    assert main(["doctor", "--host", service.url, "--write-key", "hw_wrong"]) == 1
    assert "FAULT  write key: refused: 401 unknown_key" in capsys.readouterr().out


def test_events_of_the_time_without_service_come_from_the_spool(
    make_service: MakeService, database: Database, tmp_path: Path
) -> None:
    spool = tmp_path / "spool.db"
    service = make_service()
    service.start()
    host = service.url
    assert service.stop() == 0
    with Client(KEY, host, spool=spool, max_retries=0) as client:
        ids = [client.capture("u", f"e{n}") for n in range(250)]
        client.shutdown(timeout=0.5)
    assert client.stats().spooled == 250
    service.start()
    with Client(KEY, service.url, spool=spool):
        database.wait_for_ids([each for each in ids if each])
    assert service.accepted == 250
