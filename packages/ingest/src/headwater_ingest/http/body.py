"""Reading a body: bounded while it arrives and bounded while it inflates.

A compressed bomb costs no more memory than the limit, whatever it claims to hold.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

import zstandard
from isal import isal_zlib
from starlette.types import Receive

from headwater_ingest.http.refusal import (
    ClientGoneError,
    RequestRefusedError,
    quote_header,
)
from headwater_schema.limits import MAX_BATCH_BYTES
from headwater_schema.outcomes import ErrorCode

Headers = Mapping[bytes, bytes]

BODY_S: Final = 60.0
"""How long a body may take that does not come in one piece."""

DISCARD_S: Final = 5.0
MAX_DISCARDED_BYTES: Final = 2 * MAX_BATCH_BYTES
"""How long, and how far, a body that is too large is read on."""

_MAX_DIGITS: Final = 20


async def read_body(
    receive: Receive, headers: Headers, *, max_bytes: int = MAX_BATCH_BYTES
) -> bytes:
    """Returns the body as it was sent.

    Args:
        receive: Where it comes from.
        headers: By lower-case name.
        max_bytes: Most bytes that it may have.

    Raises:
        RequestRefusedError: It is too large or too slow.
        ClientGoneError: It ended early.
    """
    if _stated_length(headers) > max_bytes:
        # A client that awaits our consent has not sent anything yet.
        if b"expect" not in headers:
            await _discard(receive)
        raise _too_large(max_bytes)
    body, more = await _receive_part(receive)
    if more:
        body = await _receive_rest(receive, bytearray(body), max_bytes=max_bytes)
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return body


def inflate(body: bytes, encoding: bytes) -> bytes:
    """Returns the body as it was before its Content-Encoding.

    Raises:
        RequestRefusedError: The encoding is unknown, the bytes are not what it
            promises, or there would be too many.
    """
    name = encoding.strip().lower()
    if not name or name == b"identity":
        return body
    known = _ENCODINGS.get(name)
    if known is None:
        names = ", ".join(["identity", *(each.name for each in _ENCODINGS.values())])
        raise RequestRefusedError(
            ErrorCode.UNKNOWN_ENCODING,
            f"Content-Encoding `{quote_header(encoding)}` is not supported; send one "
            f"of: {names}",
        )
    return _inflate(body, known)


def _stated_length(headers: Headers) -> int:
    stated = headers.get(b"content-length", b"")
    return int(stated[:_MAX_DIGITS]) if stated.isdigit() else 0


async def _receive_part(receive: Receive) -> tuple[bytes, bool]:
    """Returns the next part of a body, and whether more follow."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError("the client hung up in the middle of its body")
    return message.get("body", b""), message.get("more_body", False)


async def _receive_rest(receive: Receive, body: bytearray, *, max_bytes: int) -> bytes:
    more = True
    try:
        # Not around the first part as well: a deadline costs 8 µs, and most bodies
        # come in one part.
        async with asyncio.timeout(BODY_S):
            while more and len(body) <= max_bytes:
                part, more = await _receive_part(receive)
                body += part
    except TimeoutError:
        raise RequestRefusedError(
            ErrorCode.MALFORMED_BODY,
            f"the body did not arrive within {BODY_S:.0f} s; send it again",
        ) from None
    if more:
        body.clear()
        await _discard(receive)
        raise _too_large(max_bytes)
    return bytes(body)


async def _discard(receive: Receive) -> None:
    """Reads on for a while and keeps nothing.

    Many clients look for an answer only when they have sent everything. Closing the
    connection before would reset it, and they would never see what is wrong.
    """
    left, more = MAX_DISCARDED_BYTES, True
    with suppress(TimeoutError, ClientGoneError):
        async with asyncio.timeout(DISCARD_S):
            while more and left > 0:
                part, more = await _receive_part(receive)
                left -= len(part)


class _Stream(Protocol):
    """A gzip member or a zstd frame on its way through the decompressor."""

    @property
    def eof(self) -> bool:
        """Whether it is complete."""

    @property
    def unused_data(self) -> bytes:
        """What came after its end."""

    def decompress(self, data: bytes, /) -> bytes:
        """Returns all that can be inflated by now."""


@dataclass(frozen=True, slots=True)
class _Encoding:
    """A Content-Encoding.

    Bodies go in little by little, because zstandard keeps to a bound only where it
    does not tell a frame that is complete from one that ends early.

    Attributes:
        name: What messages call it.
        open: Returns what begins a new stream; a body may hold several.
        error: What a stream raises when the bytes are wrong.
        step_bytes: What goes in at a time; at most 8 MiB can come out of it.
    """

    name: str
    open: Callable[[], Callable[[], _Stream]]
    error: type[Exception]
    step_bytes: int


def _inflate(body: bytes, encoding: _Encoding) -> bytes:
    inflated: list[bytes] = []
    size = 0
    try:
        for part in _inflate_parts(body, encoding):
            size += len(part)
            if size > MAX_BATCH_BYTES:
                raise _too_large(MAX_BATCH_BYTES)
            inflated.append(part)
    except encoding.error as error:
        raise _malformed(encoding, str(error)) from None
    return inflated[0] if len(inflated) == 1 else b"".join(inflated)


def _inflate_parts(body: bytes, encoding: _Encoding) -> Iterator[bytes]:
    """Inflates bit by bit, one stream after the other."""
    begin = encoding.open()
    stream = begin()
    for start in range(0, len(body), encoding.step_bytes):
        piece = body[start : start + encoding.step_bytes]
        while piece:
            stream = begin() if stream.eof else stream
            yield stream.decompress(piece)
            piece = stream.unused_data
    if not stream.eof:
        raise _malformed(encoding, "it ends early")


def _open_gzip() -> Callable[[], _Stream]:
    return lambda: isal_zlib.decompressobj(_GZIP_WINDOW)


def _open_zstd() -> Callable[[], _Stream]:
    return zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW).decompressobj


_GZIP_WINDOW: Final = 31
_MAX_ZSTD_WINDOW: Final = 8 * 1024 * 1024
"""What RFC 9659 asks every decoder to support, and no more."""

# The stub declares the class as an instance.
_IsalError: type[Exception] = isal_zlib.error  # type: ignore[assignment]

_ENCODINGS: Final[Mapping[bytes, _Encoding]] = {
    # Deflate makes 1,032 times as much at most, zstd 32,768 times: 128 KiB of 4 bytes.
    b"gzip": _Encoding("gzip", _open_gzip, _IsalError, step_bytes=4096),
    b"zstd": _Encoding("zstd", _open_zstd, zstandard.ZstdError, step_bytes=256),
}


def _too_large(max_bytes: int) -> RequestRefusedError:
    return RequestRefusedError(
        ErrorCode.TOO_LARGE,
        f"the body has more than {max_bytes} bytes; send the events in smaller batches",
    )


def _malformed(encoding: _Encoding, why: str) -> RequestRefusedError:
    return RequestRefusedError(
        ErrorCode.MALFORMED_BODY, f"the body is not valid {encoding.name}: {why}"
    )
