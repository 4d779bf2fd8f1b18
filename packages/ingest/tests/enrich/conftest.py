from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]  # ships no types

WriteDatabase = Callable[..., Path]


@pytest.fixture
def write_database(tmp_path: Path) -> WriteDatabase:
    """Writes a database in MaxMind's format with these records by network."""

    def write(records: Mapping[str, Any], *, ip_version: int = 6) -> Path:
        writer = MMDBWriter(ip_version, ipv4_compatible=ip_version == 6)
        for network, record in records.items():
            writer.insert_network(IPSet([str(ip_network(network))]), record)
        path = tmp_path / "database.mmdb"
        writer.to_db_file(str(path))
        return path

    return write
