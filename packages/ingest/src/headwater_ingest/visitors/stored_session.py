"""A session in the form in which it is kept outside of the process.

MessagePack, `[id, user_id, {column: value}]`. Whoever reads it may be of another
release: columns that are not known here are passed over.
"""

from typing import Annotated, Final, TypedDict, cast

import msgspec
from msgspec import Meta

from headwater_ingest.visitors.sessions import Facts, Session

_UInt64 = Annotated[int, Meta(ge=0)]
_UInt32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
_CountryCode = Annotated[str, Meta(max_length=2)]


class StoredFacts(TypedDict, total=False):
    """The columns that a session has for its events, with what each can hold."""

    referrer: str
    referrer_source: str
    acquisition_channel: str
    click_id_param: str
    utm_medium: str
    utm_source: str
    utm_campaign: str
    utm_content: str
    utm_term: str
    country_code: _CountryCode
    subdivision1_code: str
    subdivision2_code: str
    city_geoname_id: _UInt32
    screen_size: str
    operating_system: str
    operating_system_version: str
    browser: str
    browser_version: str


class _Stored(msgspec.Struct, array_like=True):
    id: _UInt64
    user_id: _UInt64
    facts: StoredFacts


def encode_session(session_id: int, user_id: int, facts: Facts) -> bytes:
    """Returns a session without its time, which is kept beside it."""
    return _encode((session_id, user_id, facts))


def decode_session(encoded: bytes, *, time_s: int) -> Session | None:
    """Returns the session, or nothing if these bytes are none."""
    try:
        stored = _decode(encoded)
    except msgspec.MsgspecError:
        return None
    return Session(stored.id, stored.user_id, time_s, cast("Facts", stored.facts))


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Stored).decode
