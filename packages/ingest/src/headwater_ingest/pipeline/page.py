"""The page an event happened on, read from its URL.

The URL is split as RFC 3986, appendix B, does it: anything is a URL, nothing raises.
"""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

NO_HOSTNAME: Final = "(none)"
MAX_URL_BYTES: Final = 2000
"""A longer URL is cut before it is read, so that work on it is bounded."""

_PARTS: Final = re.compile(
    r"(?:[^:/?#]+:)?"
    r"(?://(?P<authority>[^/?#]*))?"
    r"(?P<path>[^?#]*)"
)
_PORT: Final = re.compile(r":\d*$")


@lru_cache(maxsize=8192)
def read_page(url: str) -> tuple[str, str]:
    """Returns hostname and pathname of `url`.

    The hostname is in lower case without a leading `www.`, or `(none)`; the pathname
    is percent-decoded, and `/` where the URL has none.
    """
    match = _PARTS.match(url[:MAX_URL_BYTES])
    authority, path = match.group("authority", "path") if match else (None, "")
    return _read_hostname(authority or ""), unquote(path or "/").rstrip()


def _read_hostname(authority: str) -> str:
    host = _PORT.sub("", authority.rpartition("@")[2])
    host = host.strip("[]").strip().lower().removeprefix("www.")
    return host or NO_HOSTNAME
