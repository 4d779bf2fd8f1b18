"""The journal on a disk that loses what was not synced, and tears pages.

The disk is a VFS of SQLite in memory, which knows of each file what was synced and what
was written since. A crash keeps any of the later writes, or parts of them, in any order
of age. It comes at any write or sync, also in the middle of a commit or a checkpoint.
"""

import asyncio
import hashlib
import itertools
import random
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import apsw
import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from headwater_ingest.journal import Committed, Count, Entry, Journal, JournalReader
from headwater_ingest.journal.accounts import Fate, read_accounts
from headwater_ingest.journal.connection import Connection
from headwater_ingest.journal.database import open_for_writer
from headwater_ingest.rows import Rows, decode_rows, encode_rows
from headwater_schema.batch import BatchResult

_POWERSAFE_OVERWRITE = 0x1000  # as SQLite takes it for granted on Unix
_PADDING = 5_000  # a few rows take more than a page


@dataclass(slots=True)
class _Inode:
    """A file: what was synced, and the writes since, each a place and its bytes."""

    content: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    writes: list[tuple[int, bytes]] = field(default_factory=list)

    def write(self, data: bytes, offset: int) -> None:
        _overwrite(self.content, data, offset)
        self.writes.append((offset, data))

    def truncate(self, size: int) -> None:
        del self.content[size:]
        self.sync()  # a shorter file is taken to be so at once

    def sync(self) -> None:
        self.synced = bytes(self.content)
        self.writes.clear()

    def after_crash(self, chance: random.Random) -> "_Inode":
        """Returns the file as it may be found."""
        content = bytearray(self.synced)
        for offset, data in self.writes:
            match chance.randrange(3):
                case 0:
                    _overwrite(content, data, offset)
                case 1:
                    torn = data[: chance.randrange(len(data) + 1)]
                    _overwrite(content, torn, offset)
        return _Inode(content, bytes(content))


def _overwrite(content: bytearray, data: bytes, offset: int) -> None:
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


class Disk:
    """Some files, and the moment at which the power goes.

    Attributes:
        crashed: The disk as it is found after the crash, once there was one.
    """

    def __init__(self, files: dict[str, _Inode] | None = None) -> None:
        self.files = files or {}
        self.crashed: Disk | None = None
        self._left = -1
        self._chance = random.Random(0)

    def crash_after(self, operations: int, chance: random.Random) -> None:
        """Lets the power go after so many writes and syncs."""
        self._left, self._chance = operations, chance

    def crash(self) -> "Disk":
        """Returns the disk as it is found, if the power goes now."""
        return Disk(
            {name: each.after_crash(self._chance) for name, each in self.files.items()}
        )

    def tick(self) -> None:
        """Notes a write or a sync."""
        if self._left == 0:
            self.crashed = self.crash()
        self._left -= 1


class _File:
    """A file that SQLite has open."""

    def __init__(self, disk: Disk, inode: _Inode) -> None:
        self._disk, self._inode = disk, inode

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        return bytes(self._inode.content[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._disk.tick()
        self._inode.write(bytes(data), offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.tick()
        self._inode.sync()

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._disk.tick()
        self._inode.truncate(size)

    def xFileSize(self) -> int:  # noqa: N802
        return len(self._inode.content)

    def xSectorSize(self) -> int:  # noqa: N802
        return 4096

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return _POWERSAFE_OVERWRITE

    def xFileControl(self, operation: int, pointer: int) -> bool:  # noqa: N802
        return False

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xLock(self, level: int) -> None:  # noqa: N802
        """There is one connection at a time."""

    def xUnlock(self, level: int) -> None:  # noqa: N802
        """There is one connection at a time."""

    def xClose(self) -> None:  # noqa: N802
        """The file stays."""


class _DiskVfs(apsw.VFS):
    """Files of one disk, for SQLite."""

    _numbers = itertools.count()

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.name = f"disk{next(self._numbers)}"
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> Any:  # noqa: N802
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        flags[1] = flags[0]
        return _File(self._disk, self._disk.files.setdefault(path, _Inode()))

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802
        self._disk.files.pop(filename, None)

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802
        return pathname in self._disk.files

    def xFullPathname(self, filename: str) -> str:  # noqa: N802
        return filename


class _Rows:
    """The rows of a statement, all read."""

    def __init__(self, rows: Iterable[Any], rowcount: int) -> None:
        self._rows = iter(rows)
        self.rowcount = rowcount

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return self._rows


class DiskConnection:
    """A connection to a database on such a disk.

    Such a VFS has no shared memory, which WAL can do without as long as nobody else has
    the file open.
    """

    def __init__(self, path: Path, disk: Disk) -> None:
        self._vfs = _DiskVfs(disk)
        self._connection = apsw.Connection(str(path), vfs=self._vfs.name)
        self.execute("PRAGMA locking_mode = EXCLUSIVE")

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, statement: str, parameters: Any = ()) -> _Rows:
        rows = self._connection.execute(statement, parameters).fetchall()
        return _Rows(rows, self._connection.changes())

    def executemany(self, statement: str, parameters: Iterable[Any]) -> _Rows:
        for each in parameters:
            self.execute(statement, each)
        return _Rows((), 0)

    def close(self) -> None:
        self._connection.close()


def make_entry(batch: int, events: Sequence[int]) -> Entry:
    ids = [UUID(int=each) for each in events]
    joined = b"".join(each.bytes for each in ids)
    rows = Rows(
        [each.bytes for each in ids], {"properties": "x" * (batch % 4) * _PADDING}, {}
    )
    return Entry(
        site_id=1,
        batch_id=UUID(int=batch).bytes,
        event_ids=joined,
        rows=encode_rows(rows),
        row_count=len(ids),
        answer=msgspec.json.encode(BatchResult(accepted=len(ids))),
        ids_digest=hashlib.sha256(joined).digest(),
        counts=(Count(1, "accepted", "", len(ids)),),
    )


class CrashMachine(RuleBasedStateMachine):
    """A journal on a disk, and what must be found on it."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name)
        (self.path / "journal.db").touch()  # whether it is there is asked elsewhere
        self.runner = asyncio.Runner()
        self.disk = Disk()
        self.batches: list[int] = []
        self.events: list[int] = []  # of them, in their order
        self.written = 0
        self.tokens: dict[str, list[int]] = {}
        self.numbers = itertools.count(1)
        self.open()

    def connect(self, path: Path) -> Connection:
        return DiskConnection(path, self.disk)

    def open(self) -> None:
        self.journal = Journal.open(self.path, max_bytes=1 << 30, connect=self.connect)

    def teardown(self) -> None:
        self.journal.close()
        self.runner.close()
        self.directory.cleanup()

    def find_after(self, disk: Disk) -> None:
        """Goes on with the disk that is found after a crash."""
        self.journal.close()  # on the disk that is gone
        self.disk = disk
        self.open()

    def append(self, size: int) -> int:
        batch = next(self.numbers)
        events = [batch * 100 + number for number in range(size)]
        receipt = self.runner.run(self.journal.append(make_entry(batch, events)))
        assert receipt == Committed()
        return batch

    def take(self, batch: int, size: int) -> None:
        self.batches.append(batch)
        self.events += [batch * 100 + number for number in range(size)]

    @rule(size=st.integers(1, 9))
    def append_batch(self, size: int) -> None:
        self.take(self.append(size), size)

    @rule(size=st.integers(1, 9), operations=st.integers(0, 12), seed=st.integers())
    def crash_in_an_append(self, size: int, operations: int, seed: int) -> None:
        self.disk.crash_after(operations, random.Random(seed))
        batch = self.append(size)
        crashed = self.disk.crashed
        if crashed is None:
            self.take(batch, size)
            crashed = self.disk.crash()
        self.find_after(crashed)
        is_there = self.journal.seen_batch(UUID(int=batch).bytes)
        if batch not in self.batches and is_there:
            self.take(batch, size)  # on disk, though nobody was told

    @rule(max_rows=st.integers(1, 20), operations=st.integers(0, 30))
    def crash_in_a_checkpoint(self, max_rows: int, operations: int) -> None:
        self.journal.close()
        with closing(JournalReader(self.path, connect=self.connect)) as reader:
            block = reader.next_block(max_rows, 0)
            if block:
                self.note_sent(reader, block.token, reader.read(block))
                self.disk.crash_after(operations, random.Random(operations))
                reader.checkpoint(block)
        self.disk = self.disk.crashed or self.disk.crash()
        self.open()
        self.written = len(self.events) - self.journal.status().rows_pending

    def note_sent(self, reader: JournalReader, token: str, blobs: list[bytes]) -> None:
        sent = [
            int.from_bytes(each)
            for blob in blobs
            for each in decode_rows(blob).event_id
        ]
        assert sent == self.events[self.written :][: len(sent)]
        assert self.tokens.setdefault(token, sent) == sent

    @precondition(lambda self: self.events)
    @rule()
    def restart(self) -> None:
        self.journal.close()
        self.open()

    @invariant()
    def what_was_acknowledged_is_known(self) -> None:
        ids = [UUID(int=each).bytes for each in self.events]
        assert self.journal.seen_events(ids) == set(ids)
        for batch in self.batches:
            assert self.journal.seen_batch(UUID(int=batch).bytes)

    @invariant()
    def what_is_not_written_is_pending(self) -> None:
        assert self.journal.status().rows_pending == len(self.events) - self.written

    @rule()
    def the_accounts_close(self) -> None:
        self.journal.close()
        with closing(open_for_writer(self.path, connect=self.connect)) as connection:
            accounts = read_accounts(connection)
        self.open()
        assert accounts.imbalances() == {}
        assert accounts.total(1, "accepted") == len(self.events)
        assert accounts.total(1, Fate.WRITTEN) == self.written


TestCrashes = CrashMachine.TestCase
TestCrashes.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


class LazyConnection(DiskConnection):
    """A connection that leaves syncing to the system."""

    def execute(self, statement: str, parameters: Any = ()) -> _Rows:
        lazy = statement.replace("synchronous = FULL", "synchronous = OFF")
        return super().execute(lazy, parameters)


@pytest.mark.parametrize("kind", [DiskConnection, LazyConnection])
def test_a_journal_that_does_not_sync_is_found_out(
    tmp_path: Path, kind: type[DiskConnection]
) -> None:
    (tmp_path / "journal.db").touch()
    disk = Disk()

    def count_known(found: Disk) -> int:
        with closing(
            Journal.open(
                tmp_path, max_bytes=1 << 30, connect=lambda path: kind(path, found)
            )
        ) as journal:
            return journal.status().window_events

    Journal.open(
        tmp_path, max_bytes=1 << 30, connect=lambda path: kind(path, disk)
    ).close()
    for inode in disk.files.values():
        inode.sync()
    with closing(
        Journal.open(tmp_path, max_bytes=1 << 30, connect=lambda path: kind(path, disk))
    ) as journal:
        for number in range(1, 6):
            asyncio.run(journal.append(make_entry(number, [number])))
        crashed = disk.crash()

    assert (count_known(crashed) == 5) == (kind is DiskConnection)


def test_a_disk_that_forgets_what_was_synced_is_found_out() -> None:
    """The disk of these tests is as bad as it says."""
    disk = Disk()
    inode = disk.files["file"] = _Inode()
    inode.write(b"kept", 0)
    inode.sync()
    inode.write(b"later", 4)

    found = {bytes(disk.crash().files["file"].content) for _ in range(200)}

    assert {b"kept", b"keptlater", b"keptlat"} <= found
    assert all(each.startswith(b"kept") for each in found)
