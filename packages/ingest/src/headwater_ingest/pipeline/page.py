"""The page an event happened on, read from its URL.

The URL is split as RFC 3986, appendix B, does it: anything is a URL, nothing raises.
"""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from headwater_schema.values import clean_text

NO_HOSTNAME: Final = "(none)"
MAX_URL_CHARS: Final = 2000
"""A longer URL is cut before it is read, so that time and memory for it are bounded."""

_CACHED_URLS: Final = 8192

_PARTS: Final = re.compile(
    r"(?:[^:/?#]+:)?"
    r"(?://(?P<authority>[^/?#]*))?"
    r"(?P<path>[^?#]*)"
)
_PORT: Final = re.compile(r":\d*$")


def read_page(url: str) -> tuple[str, str]:
    """Returns hostname and pathname of `url`.

    The hostname is in lower case without a leading `www.`, or `(none)`; the pathname
    is percent-decoded, and `/` where the URL has none.
    """
    return _read_page(url[:MAX_URL_CHARS])


@lru_cache(_CACHED_URLS)
def _read_page(url: str) -> tuple[str, str]:
    match = _PARTS.match(url)
    authority, path = match.group("authority", "path") if match else (None, "")
    return _read_hostname(authority or ""), _read_pathname(path or "/")


def _read_hostname(authority: str) -> str:
    host = _PORT.sub("", authority.rpartition("@")[2])
    host = host.strip("[]").strip().lower().removeprefix("www.")
    return host or NO_HOSTNAME


def _read_pathname(path: str) -> str:
    return clean_text(unquote(path)).rstrip()
