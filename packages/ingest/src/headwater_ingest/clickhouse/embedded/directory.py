"""The directory of an embedded ClickHouse: its files, its lock, its login.

==================  ================================================================
``data/``           what ClickHouse stores
``config.xml``      written anew for each run
``users.xml``       likewise: the one user who may log in
``password``        made once, readable by the owner only
``ports``           native and HTTP port of the latest run
``lock``            locked while a server uses the directory; holds its owner's id
``server.log``      what ClickHouse has to say, from warnings up; rotated by size
``child.log``       what the process printed
``backups/``        where ``BACKUP ... TO File('name')`` writes
==================  ================================================================

Files in ``config.d/`` are ClickHouse's own way to add settings; Headwater has none.
"""

import fcntl
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self
from xml.sax.saxutils import escape

from headwater_ingest.clickhouse.url import ClickHouseUrl
from headwater_ingest.errors import DataDirectoryInUseError, EmbeddedStartError

HOST = "127.0.0.1"
USER = "headwater"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a server listens; 0 asks for a free port."""

    tcp: int
    http: int


@dataclass(frozen=True, slots=True)
class EmbeddedDirectory:
    """The files under one path. Whoever writes here holds the `DirectoryLock`."""

    path: Path

    @property
    def child_log(self) -> Path:
        """What the process printed; the first place to look when it will not start."""
        return self.path / "child.log"

    def url(self, ports: Ports) -> ClickHouseUrl:
        """Return the address of the server, with the login."""
        return ClickHouseUrl(
            HOST, port=ports.tcp, user=USER, password=self._read_password()
        )

    def write_config(self, ports: Ports, *, max_memory_bytes: int) -> None:
        """Write all that the server reads when it starts."""
        config = _CONFIG.format(
            path=escape(str(self.path)),
            host=HOST,
            ports=ports,
            max_memory_bytes=max_memory_bytes,
        )
        digest = sha256(self._password().encode()).hexdigest()
        (self.path / "config.xml").write_text(config, "utf-8")
        (self.path / "users.xml").write_text(
            _USERS.format(user=USER, host=HOST, digest=digest), "utf-8"
        )

    def write_ports(self, ports: Ports) -> None:
        """Record where the server listens."""
        (self.path / "ports").write_text(f"{ports.tcp} {ports.http}\n", "utf-8")

    def forget_ports(self) -> None:
        """Remove the record of an earlier run."""
        (self.path / "ports").unlink(missing_ok=True)

    def read_ports(self) -> Ports:
        """Return where the latest server listened."""
        tcp, http = (self.path / "ports").read_text("utf-8").split()
        return Ports(int(tcp), int(http))

    def _password(self) -> str:
        path = self.path / "password"
        if not path.exists():
            draft = path.with_suffix(".new")
            draft.unlink(missing_ok=True)
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w") as file:
                file.write(secrets.token_hex(16))
            draft.rename(path)
        return self._read_password()

    def _read_password(self) -> str:
        return (self.path / "password").read_text("utf-8").strip()


class DirectoryLock:
    """The right to use a directory. It passes to a child that inherits `fd`.

    The lock belongs to the open file: it is free once the owner *and* the child that
    inherited it are gone, however they ended.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd

    @classmethod
    def take(cls, directory: EmbeddedDirectory, *, timeout_s: float) -> Self:
        """Create the directory if it is missing, and lock it.

        Args:
            directory: What to lock.
            timeout_s: How long to wait for a server that is just ending, for example
                because its owner was killed.

        Raises:
            DataDirectoryInUseError: Another process has it.
            EmbeddedStartError: The directory cannot be written.
        """
        try:
            directory.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(directory.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise EmbeddedStartError(
                f"cannot write to {directory.path} ({error.strerror}): give another "
                "data directory, or the right to write there"
            ) from error
        if not _lock_within(fd, timeout_s):
            owner = os.pread(fd, 20, 0).decode() or "unknown"
            os.close(fd)
            raise DataDirectoryInUseError(
                f"{directory.path} is in use by process {owner}: stop that one, or "
                "give another data directory"
            )
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        return cls(fd)

    def release(self) -> None:
        """Let go. A child that is still there keeps the lock."""
        os.close(self.fd)


def find_http_port(path: Path) -> int:
    """Return the HTTP port of the server that `find_running` has found.

    Args:
        path: The directory that `EmbeddedClickHouse` was given.
    """
    return EmbeddedDirectory(path.resolve()).read_ports().http


def find_running(path: Path) -> ClickHouseUrl | None:
    """Return the address of the server that uses a directory, if there is one.

    Args:
        path: The directory that `EmbeddedClickHouse` was given.
    """
    directory = EmbeddedDirectory(path.resolve())
    try:
        fd = os.open(directory.path / "lock", os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        if _try_lock(fd, fcntl.LOCK_SH):
            return None
    finally:
        os.close(fd)
    with suppress(FileNotFoundError):  # it is just starting for the first time
        return directory.url(directory.read_ports())
    return None


def _lock_within(fd: int, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not _try_lock(fd, fcntl.LOCK_EX):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)  # flock itself waits for ever or not at all
    return True


def _try_lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# Merges cost more than INSERTs. With a base of 20 instead of 5, more of a size wait for
# each other, which takes a third less CPU under load; a table has some 15 parts, not 7.
_CONFIG = """\
<clickhouse>
    <log-level>warning</log-level>
    <logger>
        <log>{path}/server.log</log>
        <size>20M</size>
        <count>2</count>
    </logger>
    <listen_host>{host}</listen_host>
    <tcp_port>{ports.tcp}</tcp_port>
    <http_port>{ports.http}</http_port>
    <users_config>{path}/users.xml</users_config>
    <timezone>UTC</timezone>
    <max_server_memory_usage>{max_memory_bytes}</max_server_memory_usage>
    <mark_cache_size>67108864</mark_cache_size>
    <merge_tree><merge_selector_base>20</merge_selector_base></merge_tree>
    <backups><allowed_path>{path}/backups/</allowed_path></backups>
</clickhouse>
"""

# The engine itself runs as `default`, which it insists on and which cannot have a
# password. It takes the one session of that user before it listens, and keeps it, so
# nobody else gets in by that name.
_USERS = """\
<clickhouse>
    <profiles>
        <default/>
        <engine><max_sessions_for_user>1</max_sessions_for_user></engine>
    </profiles>
    <quotas><default/></quotas>
    <users>
        <default>
            <password/>
            <networks><ip>{host}</ip></networks>
            <profile>engine</profile>
        </default>
        <{user}>
            <password_sha256_hex>{digest}</password_sha256_hex>
            <networks><ip>{host}</ip></networks>
        </{user}>
    </users>
</clickhouse>
"""
