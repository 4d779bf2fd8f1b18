"""A spool on disk: a bounded file that several processes may share.

What the file holds is never more than a convenience: where it cannot be written,
read or locked, that is logged once per kind and the client goes on without it. A file
that is corrupt is moved aside, and the next one is begun.
"""

import os
import sqlite3
from collections.abc import Callable, Collection, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final, TypeVar

from headwater._reporter import logger
from headwater._spool_file import (
    CorruptFileError,
    ForeignFileError,
    SpoolTransaction,
    encode_events,
    move_corrupt_aside,
    transaction,
)
from headwater._spool_owner import Owner, io_lock
from headwater._spool_port import SpooledBatch

MAX_SPOOL_BYTES: Final = 256 * 1024 * 1024
"""Most bytes of events in a file, unless told otherwise."""

_T = TypeVar("_T")


class DiskSpool:
    """Keeps batches in a file. Implements `headwater._spool_port.Spool`.

    When it is full it takes no more: what came first goes first. The batches of
    another destination are left to the clients that have that one.

    Args:
        path: The file; it and its folder are made when there is something to keep.
        destination: For which site: any text that is the same whenever the batches
            may be sent by each other's clients, such as URL and write key. Only a
            digest of it is stored.
        max_bytes: Most bytes of events in the file, for all destinations together.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        destination: str,
        max_bytes: int = MAX_SPOOL_BYTES,
    ) -> None:
        self._path = Path(path).absolute()
        self._destination = blake2b(destination.encode(), digest_size=16).hexdigest()
        self._max_bytes = max_bytes
        self._owner = Owner(self._path)
        self._undone: set[str] = set()
        self._logged: set[str] = set()
        self.corruptions = 0
        """How many files were found corrupt and moved aside."""
        self.lost = 0
        """Events in batches that could not be read back; those in a file that is
        corrupt as a whole cannot be counted."""

    def keep(self, batches: Sequence[SpooledBatch]) -> Collection[str]:
        """Stores batches, or frees those that are there; see `Spool.keep`."""
        nothing: set[str] = set()
        kept = self._run(lambda file: self._add(file, batches), nothing)
        return {batch.batch_id for batch in batches} - kept

    def take(self, limit: int) -> Sequence[SpooledBatch]:
        """Hands out the oldest free batches; see `Spool.take`."""
        if not self._path.exists():
            return ()
        return self._run(lambda file: self._claim(file, limit), ())

    def done(self, ids: Collection[str]) -> None:
        """Forgets batches for good; see `Spool.done`."""
        self._undone.update(ids)
        if self._path.exists():
            self._run(lambda _: None, None)

    def close(self) -> None:
        """Frees what was taken and is not done; see `Spool.close`."""
        if self._owner.is_holding:
            self._run(lambda file: file.free(self._owner.token), None)
        with io_lock:
            self._owner.let_go()

    def _add(self, file: SpoolTransaction, batches: Sequence[SpooledBatch]) -> set[str]:
        kept = set()
        size = file.size()
        for batch in batches:
            if file.give_back(batch.batch_id):
                kept.add(batch.batch_id)
                continue
            payload = encode_events(batch)
            if size + len(payload) <= self._max_bytes:
                size += len(payload)
                file.add(batch, payload, self._destination)
                kept.add(batch.batch_id)
        return kept

    def _claim(self, file: SpoolTransaction, limit: int) -> Sequence[SpooledBatch]:
        # Whoever has taken something had his lock before he wrote, and so before
        # this transaction began: he is among the living.
        file.free_all_but(self._owner.living())
        batches, lost = file.claim(limit, self._owner.token, self._destination)
        if lost:
            self.lost += lost
            self._log_once("damaged", "the spool %s: events lost to damage: %d", lost)
        return batches

    def _run(self, work: Callable[[SpoolTransaction], _T], otherwise: _T) -> _T:
        """Returns what `work` does, or `otherwise` where the file does not allow it."""
        with io_lock:
            for _ in range(2):
                try:
                    with transaction(self._path) as file:
                        for batch_id in self._undone:
                            file.remove(batch_id)
                        result = work(file)
                except CorruptFileError as error:
                    self._move_aside(error)
                except ForeignFileError as error:
                    self._log_once("foreign", "the spool %s is not used: %s", error)
                    return otherwise
                except (sqlite3.Error, OSError) as error:
                    # What is not forgotten now is with the next transaction.
                    self._log_once(
                        repr(error), "the spool %s cannot be used: %r", error
                    )
                    return otherwise
                else:
                    self._undone.clear()
                    return result
            return otherwise

    def _move_aside(self, error: CorruptFileError) -> None:
        try:
            if move_corrupt_aside(self._path):
                self.corruptions += 1
        except (sqlite3.Error, CorruptFileError, OSError) as failure:
            self._log_once("move", "the spool %s cannot be moved aside: %r", failure)
        self._log_once(
            "corrupt",
            "the spool %s is corrupt (%s); it is kept as *.corrupt, and begun anew",
            error,
        )

    def _log_once(self, kind: str, message: str, what: object) -> None:
        if kind not in self._logged:
            self._logged.add(kind)
            logger.warning(message, self._path, what)
