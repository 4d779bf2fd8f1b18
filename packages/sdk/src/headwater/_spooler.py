"""Carries batches between a `Delivery` and its spool. Called by whoever sends.

The disk is only touched with the lock of the delivery free.
"""

from __future__ import annotations

import os
import threading
from typing import Final

from headwater._batch import FrozenBatch
from headwater._delivery import Delivery
from headwater._settings import Settings
from headwater._spool_port import Spool, SpooledBatch
from headwater._spooling import NOBODYS

_RESTORED_AT_ONCE: Final = 4


class Spooler:
    """Does for a driver what takes the disk; does nothing without a spool.

    Args:
        spool: Where batches are kept.
        delivery: Where they come from and go to.
        lock: The lock of its owner.
    """

    def __init__(
        self,
        spool: Spool | None,
        delivery: Delivery,
        lock: threading.RLock,
    ) -> None:
        self._spool = spool
        self._delivery = delivery
        self._spooling = delivery.backlog.spooling
        self._lock = lock
        self._spool_lock = threading.Lock()
        self._is_closed = False

    def spill(self) -> None:
        """Puts everything queued on disk, but for what cannot be kept there."""
        if self._spool is None:
            return
        with self._lock:
            batches = self._delivery.backlog.freeze_all()
        if not batches:
            return
        with self._spool_lock:
            refused = self._spool.keep(
                [SpooledBatch(b.batch_id, b.events, b.historical) for b in batches]
            )
        with self._lock:
            self._spooling.is_refusing = bool(refused)
            kept = [batch for batch in batches if batch.batch_id not in refused]
            self._delivery.leave_to_spool(kept)

    def restore(self) -> None:
        """Takes some batches back."""
        if self._spool is None:
            return
        with self._spool_lock:
            taken = self._spool.take(_RESTORED_AT_ONCE)
        batches = [
            FrozenBatch(each.batch_id, NOBODYS, each.events, historical=each.historical)
            for each in taken
        ]
        with self._lock:
            self._delivery.restore(batches)

    @property
    def has_settled(self) -> bool:
        """Whether there are batches that the spool can forget."""
        return self._spooling.has_done

    def forget_settled(self) -> None:
        """Has the spool forget batches that are settled."""
        with self._lock:
            done = self._spooling.take_done()
        if self._spool is not None and done:
            with self._spool_lock:
                self._spool.done(done)

    def close(self) -> None:
        """Closes the spool. May be called twice."""
        if self._spool is None:
            return
        with self._spool_lock:
            if not self._is_closed:
                self._is_closed = True
                self._spool.close()


def open_spool(settings: Settings) -> Spool | None:
    """Returns the spool that the options ask for."""
    spool = settings.spool
    if settings.disabled or spool is None:
        return None
    if not isinstance(spool, str | os.PathLike):
        return spool
    from headwater._spool import DiskSpool  # noqa: PLC0415 - only who has one loads it

    return DiskSpool(
        spool,
        destination=f"{settings.url} {settings.write_key}",
        max_bytes=settings.spool_max_bytes,
    )
