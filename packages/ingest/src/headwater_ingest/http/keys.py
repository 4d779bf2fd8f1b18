"""Where clients put their write key."""

from typing import Final

import msgspec
from msgspec import DecodeError

from headwater_ingest.http.body import Headers

NATIVE: Final = b"x-headwater-key"
BILLDOG: Final = b"x-billdog-api-key"
_BEARER: Final = b"bearer "

MAX_STRANGER_BYTES: Final = 64 * 1024
"""A larger body is decoded only for somebody whose key is known. Hostile ones cost up
to 0.4 µs per byte, and 20 MiB of them come in 20 KiB of gzip."""


def read_key(headers: Headers) -> str | None:
    """Returns the write key in the headers, if there is one."""
    key = headers.get(NATIVE) or headers.get(BILLDOG)
    if not key:
        authorization = headers.get(b"authorization", b"")
        if authorization[: len(_BEARER)].lower() == _BEARER:
            key = authorization[len(_BEARER) :]
    # Keys are UTF-8, in a header as in a body.
    return key.strip().decode("utf-8", "replace") if key else None


def peek_key(body: bytes) -> str | None:
    """Returns the write key in a body without decoding anything else of it.

    Nothing is forgiven here: only a well-formed body has a key.
    """
    for decode in (_decode_json, _decode_message_pack):
        try:
            return decode(body).api_key
        except (DecodeError, UnicodeDecodeError, RecursionError):
            continue
    return None


class _Signed(msgspec.Struct):
    """As much of a body as it takes to know who sent it."""

    api_key: str | None = None


_decode_json: Final = msgspec.json.Decoder(_Signed).decode
_decode_message_pack: Final = msgspec.msgpack.Decoder(_Signed).decode
