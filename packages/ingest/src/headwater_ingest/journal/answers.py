"""The answer to a batch, adjusted when the journal finds events that it already has.

Answers travel as bytes, since nothing decoded may stay alive while an entry waits for
the disk. They are decoded here only for a repeat, which is rare.
"""

import msgspec

from headwater_schema.batch import BatchResult

_decode = msgspec.json.Decoder(BatchResult).decode
_encode = msgspec.json.Encoder().encode


def count_as_duplicates(answer: bytes, count: int) -> bytes:
    """Return the answer with `count` of its accepted events counted as duplicates."""
    return _move(_decode(answer), count)


def count_all_as_duplicates(answer: bytes) -> bytes:
    """Return the answer with all of its accepted events counted as duplicates."""
    result = _decode(answer)
    return _move(result, result.accepted)


def _move(result: BatchResult, count: int) -> bytes:
    return _encode(
        msgspec.structs.replace(
            result,
            accepted=result.accepted - count,
            duplicates=result.duplicates + count,
        )
    )
