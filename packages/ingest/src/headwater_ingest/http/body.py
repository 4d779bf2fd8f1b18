"""Reading a body: bounded while it arrives and bounded while it inflates.

A compressed bomb costs no more memory than the limit, whatever it claims to hold.
"""

from collections.abc import Callable, Mapping
from typing import Final

import zstandard
from isal import isal_zlib
from starlette.types import Receive

from headwater_ingest.http.refusal import ClientGoneError, RequestRefusedError
from headwater_schema.limits import MAX_BATCH_BYTES
from headwater_schema.outcomes import ErrorCode

Headers = Mapping[bytes, bytes]

# The stub declares the class as an instance.
_IsalError: type[Exception] = isal_zlib.error  # type: ignore[assignment]
_GZIP_WINDOW: Final = 31
_MAX_ZSTD_WINDOW: Final = 8 * 1024 * 1024
"""What RFC 8878 asks every decoder to support, and no more."""


async def read_body(receive: Receive, headers: Headers) -> bytes:
    """Returns the body as it was sent.

    Raises:
        RequestRefusedError: It is too large.
        ClientGoneError: It ended early.
    """
    stated = headers.get(b"content-length", b"")
    if stated.isdigit() and int(stated) > MAX_BATCH_BYTES:
        raise _too_large()
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError("the client hung up in the middle of its body")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BATCH_BYTES:
            raise _too_large()
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def inflate(body: bytes, encoding: bytes) -> bytes:
    """Returns the body as it was before its Content-Encoding.

    Raises:
        RequestRefusedError: The encoding is unknown, the bytes are not what it
            promises, or there would be too many.
    """
    encoding = encoding.strip().lower()
    if not encoding or encoding == b"identity":
        return body
    decode = _DECODERS.get(encoding)
    if decode is None:
        known = ", ".join(["identity", *(each.decode() for each in _DECODERS)])
        name = encoding.decode("latin-1")
        raise RequestRefusedError(
            ErrorCode.UNKNOWN_ENCODING,
            f"Content-Encoding `{name}` is not supported; send one of: {known}",
        )
    return decode(body)


def _gunzip(body: bytes) -> bytes:
    """Inflates all members of a gzip file, which RFC 1952 allows to be many."""
    inflated, size = [], 0
    while body:
        member = isal_zlib.decompressobj(_GZIP_WINDOW)
        try:
            part = member.decompress(body, MAX_BATCH_BYTES + 1 - size)
        except _IsalError as error:
            raise _malformed("gzip", str(error)) from None
        size += len(part)
        if size > MAX_BATCH_BYTES:
            raise _too_large()
        if not member.eof:
            raise _malformed("gzip", "the stream ends early")
        inflated.append(part)
        body = member.unused_data
    return inflated[0] if len(inflated) == 1 else b"".join(inflated)


def _unzstd(body: bytes) -> bytes:
    # `ZstdDecompressor.decompress` ignores its bound for a frame that states its size;
    # a stream reader keeps to it.
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW)
    try:
        with decompressor.stream_reader(body, read_across_frames=True) as reader:
            inflated = reader.read(MAX_BATCH_BYTES + 1)
    except zstandard.ZstdError as error:
        raise _malformed("zstd", str(error)) from None
    if len(inflated) > MAX_BATCH_BYTES:
        raise _too_large()
    return inflated


_DECODERS: Final[Mapping[bytes, Callable[[bytes], bytes]]] = {
    b"gzip": _gunzip,
    b"zstd": _unzstd,
}


def _too_large() -> RequestRefusedError:
    return RequestRefusedError(
        ErrorCode.TOO_LARGE,
        f"the body has more than {MAX_BATCH_BYTES} bytes; send the events in smaller "
        "batches",
    )


def _malformed(encoding: str, why: str) -> RequestRefusedError:
    return RequestRefusedError(
        ErrorCode.MALFORMED_BODY, f"the body is not valid {encoding}: {why}"
    )
