"""The options of a client, checked all at once before anything is started."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TypedDict

from msgspec import Struct

from headwater import _faults
from headwater._compression import Compression
from headwater._errors import SettingsError
from headwater._overflow import Block, Overflow
from headwater._reporter import CapturedEvent, OnError
from headwater._spool_port import Spool

_MIB = 1024 * 1024

BeforeSend = Callable[[CapturedEvent], CapturedEvent | None]
"""Looks at an event before it is queued; returns what to queue, or None for nothing."""


class Options(TypedDict, total=False):
    """What `Client`, `AsyncClient` and `init` take by keyword; see `Client`."""

    flush_at: int
    flush_interval: float
    max_batch_events: int
    max_batch_bytes: int
    max_queue_size: int
    max_queue_bytes: int
    overflow: Overflow
    compression: Compression
    timeout: float
    max_retries: int
    exit_timeout: float
    proxy: str | None
    ca_file: str | None
    spool: str | os.PathLike[str] | Spool | None
    spool_max_bytes: int
    historical: bool
    disabled: bool
    strict: bool
    super_properties: Mapping[str, object]
    before_send: BeforeSend | None
    on_error: OnError | None


class Settings(Struct, frozen=True, kw_only=True):
    """The options of a client; `Client` describes each.

    Raises:
        SettingsError: Options are wrong; the message names all of them.
    """

    write_key: str
    host: str
    flush_at: int = 100
    flush_interval: float = 5.0
    max_batch_events: int = 1_000
    max_batch_bytes: int = 4 * _MIB
    max_queue_size: int = 10_000
    max_queue_bytes: int = 64 * _MIB
    overflow: Overflow = "drop_oldest"
    compression: Compression = "auto"
    timeout: float = 10.0
    max_retries: int = 3
    exit_timeout: float = 2.0
    proxy: str | None = None
    ca_file: str | None = None
    spool: str | os.PathLike[str] | Spool | None = None
    spool_max_bytes: int = 256 * _MIB
    historical: bool = False
    disabled: bool = False
    strict: bool = False
    super_properties: Mapping[str, object] = {}
    before_send: BeforeSend | None = None
    on_error: OnError | None = None

    def __post_init__(self) -> None:
        """Check every option before complaining about any."""
        faults = _faults.of(self)
        if faults:
            raise SettingsError(faults)

    @property
    def batch_trigger(self) -> int:
        """How many waiting events make a batch due without waiting any longer."""
        return min(self.flush_at, self.max_batch_events, self.max_queue_size)

    @property
    def url(self) -> str:
        """Where batches are posted to."""
        return self.host.rstrip("/") + "/ingest-events"

    @property
    def block_s(self) -> float:
        """How long `capture` may wait for room in the queue."""
        if isinstance(self.overflow, Block):
            return self.overflow.timeout
        return 0.0
