"""Ids of events and batches.

A client makes UUIDv7 (RFC 9562): unique without asking anybody, and in order of
time. For clients that send no ids the service derives UUIDv8 from the content, so
that the same request sent again gets the same ids.
"""

from hashlib import blake2b
from typing import Final
from uuid import UUID

from headwater_schema.new_ids import new_batch_id, new_event_id

__all__ = ["derive_batch_id", "derive_event_id", "new_batch_id", "new_event_id"]

_VERSION_8: Final = 0x8 << 76
_VARIANT_RFC: Final = 0b10 << 62
_INDEX_BITS: Final = 32
_FREE_BITS: Final = ~((0xF << 76) | (0b11 << 62)) & ((1 << 128) - 1)


def derive_batch_id(sender: int | str, body: bytes) -> UUID:
    """Returns the id of a batch that came without one.

    Args:
        sender: Whose batch it is: the number of the site, which stays while its keys
            are changed, or the name of a file that is read in.
        body: The body as the client made it, after decompression.
    """
    return _uuid8(str(sender).encode("utf-8", "replace") + b"\0" + body)


def derive_event_id(batch_id: UUID, index: int) -> UUID:
    """Returns the id of the event at `index` of a batch, if it came without one.

    Such ids ascend with the index: what was stated about a person twice within a
    millisecond must count in its order, of which the id is then the only trace.
    """
    hashed = _uuid8(batch_id.bytes).int
    return UUID(int=hashed >> _INDEX_BITS << _INDEX_BITS | index)


def _uuid8(content: bytes) -> UUID:
    """Returns 122 bits of BLAKE2b as a UUIDv8 (RFC 9562, section 5.8)."""
    number = int.from_bytes(blake2b(content, digest_size=16).digest(), "big")
    return UUID(int=(number & _FREE_BITS) | _VERSION_8 | _VARIANT_RFC)
