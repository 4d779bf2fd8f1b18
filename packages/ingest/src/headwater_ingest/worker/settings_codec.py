"""The settings as they go to a worker: whole, on a way that nobody else reads."""

from typing import Any, Final

import msgspec

from headwater_ingest.settings import Settings

_encoder: Final = msgspec.msgpack.Encoder(enc_hook=str)


def pack_settings(settings: Settings) -> bytes:
    """Return the settings as bytes."""
    return _encoder.encode(settings)


def unpack_settings(packed: bytes) -> Settings:
    """Return the settings that were packed."""
    return msgspec.msgpack.decode(packed, type=Settings, dec_hook=_make)


def _make(kind: type, value: Any) -> Any:
    """Return a value in its special type, each of which is made from what it is."""
    return kind(value)
