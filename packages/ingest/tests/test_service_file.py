import socket
from pathlib import Path

import pytest

from headwater_ingest.errors import DataDirectoryUnwritableError
from headwater_ingest.service_file import FILE_NAME, ServiceFile


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    file = ServiceFile("127.0.0.1", 8080, 42)

    file.write(tmp_path)

    assert ServiceFile.read(tmp_path) == file
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_a_file_that_is_gone_or_broken_says_nothing(tmp_path: Path) -> None:
    assert ServiceFile.read(tmp_path) is None

    (tmp_path / FILE_NAME).write_text("{")
    assert ServiceFile.read(tmp_path) is None

    ServiceFile.remove(tmp_path)
    ServiceFile.remove(tmp_path)
    assert not (tmp_path / FILE_NAME).exists()


def test_a_disk_that_refuses_the_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()  # as good a reason not to write as a full disk

    with pytest.raises(DataDirectoryUnwritableError, match="free space on its disk"):
        ServiceFile("127.0.0.1", 8080, 42).write(tmp_path)


def test_the_port_is_the_one_that_was_bound() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        file = ServiceFile.describe(sock, 42)

        assert (file.host, file.port) == sock.getsockname()


@pytest.mark.parametrize(
    "host,url",
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
    ],
)
def test_a_service_on_every_address_is_reached_on_this_machine(
    host: str, url: str
) -> None:
    assert ServiceFile(host, 80, 42).url == url
