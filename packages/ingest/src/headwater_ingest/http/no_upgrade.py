"""Requests that offer to go on in another protocol are answered in this one.

Java's `HttpClient` offers HTTP/2 with the first request of each connection
(`Upgrade: h2c`), and a server may ignore that (RFC 9110, section 7.8). The parser
cannot: it takes all that follows the head for the other protocol, and the body is lost.
So such a request is parsed once more, without the offer.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

Headers = Iterable[tuple[bytes, bytes]]
_OFFERS: Final = (b"upgrade", b"http2-settings")


class NoUpgradeProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP protocol, which stays what it is."""

    _is_offer = False  # of the request in hand

    def data_received(self, data: bytes) -> None:
        """Takes what has come."""
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                data = self._decline(data[offer.args[0] :])
            except httptools.HttpParserError:
                self._refuse()
                return
            else:
                return

    def on_message_begin(self) -> None:
        """Begins a request; a line end between two of them begins none."""
        self._unset_keepalive_if_required()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begins a request, unless it is to be parsed once more."""
        self._is_offer = self.parser.should_upgrade()
        if not self._is_offer:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Ends a request."""
        if not self._is_offer:
            super().on_message_complete()

    def _decline(self, rest: bytes) -> bytes:
        """Returns the request without what it offers, and what follows its head."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as it was
        if method == b"CONNECT":  # which asks for nothing else
            self._refuse()
            return b""
        lines = [b"%b %b HTTP/%b" % (method, self.url, version.encode())]
        lines += [b"%b: %b" % each for each in _without_offer(self.headers)]
        return b"\r\n".join((*lines, b"", rest))

    def _refuse(self) -> None:
        self.send_400_response("Invalid HTTP request received.")


def _without_offer(headers: Headers) -> Iterator[tuple[bytes, bytes]]:
    for name, value in headers:
        if name == b"connection":
            tokens = value.split(b",")
            kept = [each for each in tokens if each.strip().lower() not in _OFFERS]
            yield name, b",".join(kept)
        elif name not in _OFFERS:
            yield name, value
