"""The request that carries a batch."""

from __future__ import annotations

import time

from headwater._batch import FrozenBatch
from headwater._compression import choose
from headwater._settings import Settings
from headwater._transport import Request
from headwater._version import SDK_NAME, __version__


class RequestMaker:
    """Makes requests; called by whoever sends.

    Args:
        settings: The options of the client.
    """

    def __init__(self, settings: Settings) -> None:
        self._compress = choose(settings.compression)
        self._headers = {
            "Content-Type": "application/json",
            "User-Agent": f"{SDK_NAME}/{__version__}",
            "X-Headwater-Key": settings.write_key,
        }

    def make(self, batch: FrozenBatch) -> Request:
        """Returns the request for an attempt that is made now."""
        body = batch.encode(time.time_ns() // 1_000_000)
        compressed = self._compress(body)
        if compressed is None:
            return Request(self._headers, body)
        encoding, body = compressed
        return Request({**self._headers, "Content-Encoding": encoding}, body)
