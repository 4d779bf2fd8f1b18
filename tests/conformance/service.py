"""The service under test: its process, its data files, and how it is talked to."""

import http.client
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_network
from itertools import count
from pathlib import Path
from typing import Any

from clickhouse_driver import Client
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]  # ships no types
from tests.e2e.support.clickhouse import embedded_database
from tests.e2e.support.processes import Processes, clean_environment
from tests.e2e.support.waiting import wait_for

from headwater_ingest.service_file import ServiceFile

_START_S = 60.0
_ANSWER_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the service; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Row = dict[str, Any]


class Service:
    """A running service."""

    def __init__(self, host: str, port: int, database_url: str) -> None:
        self._address = host, port
        self._database_url = database_url
        self._connection = self._connect()
        self._site_ids = count(1)

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def take_site_id(self) -> int:
        """Returns a number that no other site of this service has."""
        return next(self._site_ids)

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str | None] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Sends a request with these headers and no others but the inevitable."""
        given = headers or {}
        return _exchange(self._connection, method, path, headers=given, body=body)

    def send_aside(
        self, method: str, path: str, *, headers: Mapping[str, str | None], body: bytes
    ) -> Answer:
        """Sends a request on a connection of its own; for threads."""
        connection = self._connect()
        try:
            return _exchange(connection, method, path, headers=headers, body=body)
        finally:
            connection.close()

    def command(self, name: str, body: object = None) -> Any:
        """Gives a command to the suite's part of the service.

        Raises:
            ValueError: It is refused.
        """
        text = json.dumps(body).encode()
        answer = self.send("POST", f"/conformance/{name}", body=text)
        content = json.loads(answer.body)
        if answer.status != 200:
            raise ValueError(content["problem"])
        return content

    def read(self, table: str, *, order: str) -> list[Row]:
        """Returns all rows of a table or view."""
        with Client.from_url(self._database_url) as client:
            extra = ", meta.key, meta.value" if table == "events" else ""
            rows, columns = client.execute(
                f"SELECT *{extra} FROM {table} ORDER BY {order}", with_column_types=True
            )
        names = [name for name, _ in columns]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._address
        return http.client.HTTPConnection(host, port, timeout=_ANSWER_S)


def _exchange(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str | None],
    body: bytes,
) -> Answer:
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in headers.items():
        if value is not None:
            connection.putheader(name, value.encode())
    if not any(name.lower() == "content-length" for name in headers):
        connection.putheader("content-length", str(len(body)))
    connection.endheaders()
    # A body that is too long may be answered before all of it is sent.
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.send(body)
    answer = connection.getresponse()
    found = {name.lower(): value for name, value in answer.getheaders()}
    return Answer(answer.status, found, answer.read())


@contextmanager
def running_service(
    directory: Path, geo_records: Mapping[str, Any]
) -> Iterator[Service]:
    """Runs the service, on a ClickHouse and with a database of places of its own."""
    data_dir, logs = directory / "data", directory / "logs"
    data_dir.mkdir()
    logs.mkdir()
    settings = {
        "data_dir": str(data_dir),
        "port": "0",
        "block_seconds": "0.1",
        "trusted_proxies": "0.0.0.0/0,::/0",
        "geoip_city_file": str(write_places(directory / "places.mmdb", geo_records)),
        "log_format": "json",
    }
    processes = Processes(logs)
    process = processes.start(
        [sys.executable, "-m", "tests.conformance.serve"],
        name="service",
        environment=clean_environment(settings),
    )
    try:

        def started() -> ServiceFile | None:
            assert process.poll() is None, process.log
            return ServiceFile.read(data_dir)

        file = wait_for(started, what="the service", timeout_s=_START_S)
        service = Service(*file.address, embedded_database(data_dir).url)
        with closing(service):
            yield service
    finally:
        processes.kill_all()
    processes.check_logs()


def write_places(path: Path, records: Mapping[str, Any]) -> Path:
    """Writes a database in MaxMind's format with a record for each address."""
    writer = MMDBWriter(6, ipv4_compatible=True)
    for address, record in records.items():
        network = IPSet([str(ip_network(address))])
        writer.insert_network(network, _make_record(record))
    writer.to_db_file(str(path))
    return path


def _make_record(given: Mapping[str, Any]) -> dict[str, Any]:
    subdivisions: Sequence[str] = given.get("subdivisions") or ()
    record: dict[str, Any] = {"country": {"iso_code": given["country"]}}
    if subdivisions:
        record["subdivisions"] = [{"iso_code": code} for code in subdivisions]
    if given.get("city_geoname_id"):
        record["city"] = {"geoname_id": given["city_geoname_id"]}
    return record
