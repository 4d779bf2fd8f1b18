"""`service.json` in the data directory: where the running service is to be found.

Written when the service listens, removed when it ends; for `doctor` and for tools that
start the service on a free port. After a crash it stays, so its process may be gone.
"""

import socket
from pathlib import Path
from typing import Self

import msgspec

from headwater_ingest.errors import DataDirectoryUnwritableError

FILE_NAME = "service.json"

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read here, not bound


class ServiceFile(msgspec.Struct, frozen=True):
    """Where a service listens, and which process it is.

    Attributes:
        host: The address that it was told.
        port: The port that it has.
        pid: The process that was started.
        workers: How many processes take events; 1 is that one itself.
    """

    host: str
    port: int
    pid: int
    workers: int = 1

    @classmethod
    def read(cls, data_dir: Path) -> Self | None:
        """Return what the latest service wrote, or None if there is nothing."""
        try:
            return msgspec.json.decode((data_dir / FILE_NAME).read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError):
            return None

    @classmethod
    def describe(cls, sock: socket.socket, pid: int, *, workers: int = 1) -> Self:
        """Describe a service by the socket that it listens on."""
        host, port = sock.getsockname()[:2]
        return cls(host, port, pid, workers)

    @property
    def address(self) -> tuple[str, int]:
        """Where this machine reaches it."""
        return _ANY.get(self.host, self.host), self.port

    @property
    def url(self) -> str:
        """The base URL for clients on this machine."""
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def processes(self) -> str:
        """The process that was started, and its workers if it has any."""
        workers = f" with {self.workers} workers" if self.workers > 1 else ""
        return f"process {self.pid}{workers}"

    def write(self, data_dir: Path) -> None:
        """Put the file in place, whole.

        Raises:
            DataDirectoryUnwritableError: If the disk is full or takes nothing.
        """
        draft = data_dir / f"{FILE_NAME}.new"
        try:
            draft.write_bytes(msgspec.json.encode(self))
            draft.replace(data_dir / FILE_NAME)
        except OSError as error:
            raise DataDirectoryUnwritableError(
                f"{data_dir / FILE_NAME} cannot be written ({error.strerror}): free "
                "space on its disk, or make it writable for this user"
            ) from error

    @staticmethod
    def remove(data_dir: Path) -> None:
        """Take the file away, if it is there."""
        (data_dir / FILE_NAME).unlink(missing_ok=True)
