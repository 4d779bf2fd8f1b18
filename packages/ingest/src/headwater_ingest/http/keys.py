"""Where clients put their write key."""

from typing import Final

from headwater_ingest.http.body import Headers

NATIVE: Final = b"x-headwater-key"
BILLDOG: Final = b"x-billdog-api-key"
_BEARER: Final = b"bearer "


def read_key(headers: Headers) -> str | None:
    """Returns the write key in the headers, if there is one."""
    key = headers.get(NATIVE) or headers.get(BILLDOG)
    if not key:
        authorization = headers.get(b"authorization", b"")
        if authorization[: len(_BEARER)].lower() == _BEARER:
            key = authorization[len(_BEARER) :]
    # Keys are UTF-8, in a header as in a body.
    return key.strip().decode("utf-8", "replace") if key else None
