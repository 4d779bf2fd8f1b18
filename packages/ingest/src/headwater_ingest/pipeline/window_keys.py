"""Under which names the duplicate window knows the batches and events of a site.

The window is one for all sites of a node, but an id stands for something within its
site only: whoever sends an event to two sites wants it in both, and no site may be told
what another one was answered.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from uuid import UUID

from siphashc import siphash

_KEY: Final = b"headwater window"
_RANDOM_BITS: Final = (1 << 62) - 1
"""The end of a UUIDv7. Its beginning is left alone: it sorts ids by time."""


def window_keys(site_id: int, ids: Iterable[UUID]) -> list[bytes]:
    """Returns the name of each id, 16 bytes."""
    mask = _mask(site_id)
    return [(each.int ^ mask).to_bytes(16, "big") for each in ids]


@lru_cache
def _mask(site_id: int) -> int:
    return siphash(_KEY, site_id.to_bytes(8, "big")) & _RANDOM_BITS
