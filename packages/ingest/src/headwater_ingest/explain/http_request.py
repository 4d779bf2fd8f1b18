"""A request as text: what a proxy has logged, or what a developer has typed.

    POST /api/event HTTP/1.1
    Content-Type: text/plain

    {"n": "pageview", ...}

Lines may end with or without a carriage return. A text that begins with `curl` is read
by `curl.py`.
"""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from headwater_ingest.errors import HeadwaterError

Header = tuple[bytes, bytes]

MAX_BYTES: Final = 32 * 1024 * 1024
"""A longer text is no request that the service takes."""

_SHOWN_CHARS: Final = 60
_METHODS: Final = frozenset(b"GET HEAD POST PUT PATCH DELETE OPTIONS TRACE".split())
_LENGTH: Final = b"content-length"
_CHUNKED: Final = b"transfer-encoding"
_HOW: Final = (
    "give a request (`POST /api/event HTTP/1.1`, headers, an empty line, the body) or "
    "a `curl` command"
)


class RequestTextError(HeadwaterError):
    """A text is no request."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request, complete.

    Attributes:
        method: In upper case.
        path: Without the query.
        query: Without the question mark.
        headers: Names in lower case.
        body: As it would be sent.
        notes: What was left out of account.
    """

    method: str
    path: str
    query: bytes = b""
    headers: list[Header] = field(default_factory=list)
    body: bytes = b""
    notes: tuple[str, ...] = ()


def read_raw(text: bytes) -> HttpRequest:
    """Reads a request as it goes over the wire.

    Raises:
        RequestTextError: It is none.
    """
    head, separator, body = _split_head(text.lstrip(b"\r\n\t "))
    first, *lines = head.splitlines() or [b""]
    words = first.split()
    if not _is_request_line(words):
        raise RequestTextError(f"`{_show(first)}` begins no request: {_HOW}")
    headers = [_read_header(line) for line in lines]
    if any(name == _CHUNKED for name, _ in headers):
        raise RequestTextError(
            "Transfer-Encoding is not understood: give the body as it is, and leave "
            "the header out"
        )
    path, query = split_target(words[1].decode("latin-1"))
    cut, notes = _cut_body(body, headers) if separator else (b"", ())
    kept = [each for each in headers if each[0] != _LENGTH]
    method = words[0].decode("ascii").upper()
    return HttpRequest(method, path, query, kept, cut, notes)


def _is_request_line(words: list[bytes]) -> bool:
    """Whether these are the words of `POST /path HTTP/1.1`, or its first two."""
    method, target, *version = words if len(words) in {2, 3} else (b"", b"")
    if not (target.startswith((b"/", b"http://", b"https://")) or target == b"*"):
        return False
    is_versioned = bool(version) and version[0].upper().startswith(b"HTTP/")
    return (is_versioned and method.isalpha()) or (not version and method in _METHODS)


def split_target(target: str) -> tuple[str, bytes]:
    """Returns path and query of a request's target or URL.

    Raises:
        RequestTextError: It is no URL.
    """
    try:
        parts = urlsplit(target)
    except ValueError as error:
        raise RequestTextError(
            f"`{target[:_SHOWN_CHARS]}` is no URL: {error}"
        ) from None
    return parts.path or "/", parts.query.encode("utf-8", "replace")


def split_header(line: bytes) -> Header:
    """Returns name and value of a header's line; both may be empty."""
    name, _, value = line.partition(b":")
    return name.strip().lower(), value.strip()


def _split_head(text: bytes) -> tuple[bytes, bytes, bytes]:
    places = [(text.find(each), each) for each in (b"\r\n\r\n", b"\n\n")]
    place, separator = min(
        ((place, each) for place, each in places if place >= 0), default=(-1, b"")
    )
    if place < 0:
        return text, b"", b""
    return text[:place], separator, text[place + len(separator) :]


def _read_header(line: bytes) -> Header:
    name, value = split_header(line)
    if b":" not in line or not name:
        raise RequestTextError(
            f"`{_show(line)}` is no header: write `Name: value`, and an empty line "
            "before the body"
        )
    return name, value


def _cut_body(body: bytes, headers: list[Header]) -> tuple[bytes, tuple[str, ...]]:
    """Takes away what an editor has added to the end of a body."""
    stated = next((value for name, value in headers if name == _LENGTH), b"")
    if not stated.isdigit():
        return body.removesuffix(b"\n").removesuffix(b"\r"), ()
    length = int(stated[:20])
    if length <= len(body):
        return body[:length], ()
    note = f"Content-Length is {length}, but the body has {len(body)} bytes"
    return body, (f"{note}: the service would wait for the rest",)


def _show(line: bytes) -> str:
    text = line.decode("utf-8", "replace")
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."
