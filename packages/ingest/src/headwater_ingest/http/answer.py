"""An answer that is made at once, before any of it is sent."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

Pairs = tuple[tuple[bytes, bytes], ...]

CLOSE: Final = (b"connection", b"close")
"""The header that ends a connection with its answer."""


@dataclass(frozen=True)
class Answer:
    """An answer to a request, whole.

    Attributes:
        status: Its HTTP status.
        headers: With the length of the body, unless it is empty.
        body: What it says.
    """

    status: int
    headers: Pairs
    body: bytes = b""

    def plus(self, *headers: tuple[bytes, bytes]) -> "Answer":
        """Returns the answer with more headers."""
        return replace(self, headers=(*self.headers, *headers))

    @cached_property
    def is_last(self) -> bool:
        """Whether the connection ends with it."""
        return CLOSE in self.headers

    def encode(self, general: bytes) -> bytes:
        """Returns it as HTTP/1.1.

        Args:
            general: Headers of all answers, each with its line end.
        """
        return STATUS_LINE[self.status] + general + self._rest

    @cached_property
    def _rest(self) -> bytes:
        return encode_headers(self.headers) + b"\r\n" + self.body


BROKEN: Final = Answer(
    500,
    (
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"21"),
        CLOSE,
    ),
    b"Internal Server Error",
)
"""The answer where something is wrong with us, as uvicorn gives it."""


def encode_headers(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Returns headers as HTTP/1.1 has them, one a line."""
    return b"".join(b"%b: %b\r\n" % pair for pair in headers)
