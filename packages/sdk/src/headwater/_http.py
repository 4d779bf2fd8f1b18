"""The way across the network: HTTP, by httpx."""

from __future__ import annotations

import codecs
import os
import time
from typing import TYPE_CHECKING, Final

from headwater._errors import TransportError
from headwater._lifecycle import fork_guard
from headwater._transport import Request, Response

if TYPE_CHECKING:
    import ssl

    import httpx

KEEP_ALIVE_S: Final = 60.0
_MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024


class HttpTransport:
    """Posts over HTTP with keep-alive; proxies and certificates as httpx has them.

    The variables `HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE` and their like are obeyed.
    httpx is imported by the first request, which the sending thread makes: that
    keeps the import of this library light.

    Args:
        url: Where requests go.
        timeout: Seconds to wait for each step: connecting, sending, the answer.
        proxy: URL of a proxy, or None for that of the environment.
        ca_file: PEM file with the certificates to trust, or None for the usual ones.
    """

    def __init__(
        self,
        url: str,
        timeout: float,
        *,
        proxy: str | None = None,
        ca_file: str | None = None,
    ) -> None:
        self._url = url
        self._timeout_s = timeout
        self._proxy = proxy
        self._ca_file = ca_file
        self._client: httpx.Client | None = None
        self._pid = 0

    def limit(self, seconds: float) -> None:
        """Has requests from now on wait for no step longer than `seconds`."""
        self._timeout_s = min(self._timeout_s, seconds)
        if self._client is not None:
            self._client.timeout = self._timeout_s

    def send(self, request: Request) -> Response:
        """Posts the request and reads the answer to its end."""
        with fork_guard:
            import httpx  # noqa: PLC0415 - by the sending thread only, see above

            # Finding a host would import this in the midst of it.
            codecs.lookup("idna")

        try:
            with self._connected().stream(
                "POST", self._url, headers=dict(request.headers), content=request.body
            ) as answer:
                body = AnswerBody(self._timeout_s)
                for chunk in answer.iter_bytes():
                    if body.add(chunk):
                        break
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise TransportError(f"{type(error).__name__}: {error}") from error
        return Response(answer.status_code, dict(answer.headers), bytes(body))

    def close(self) -> None:
        """Closes the connection, if there is one of this process."""
        if self._client is not None and self._pid == os.getpid():
            self._client.close()
        self._client = None

    def _connected(self) -> httpx.Client:
        if self._client is None or self._pid != os.getpid():
            # After a fork the connection is the parent's; its locks may be held by
            # a thread that does not exist here, so it is dropped, not closed.
            self._client = self._connect()
            self._pid = os.getpid()
        return self._client

    def _connect(self) -> httpx.Client:
        # httpx imports more when it makes a client, and OpenSSL loads certificates
        # with a lock held: neither survives a fork half done.
        with fork_guard:
            import httpx  # noqa: PLC0415

            return httpx.Client(
                timeout=self._timeout_s,
                limits=httpx.Limits(keepalive_expiry=KEEP_ALIVE_S),
                proxy=self._proxy,
                verify=trusted(self._ca_file),
            )


class AnswerBody(bytearray):
    """What an answer of ours can have, and not read for longer than allowed.

    Args:
        timeout_s: How long the whole may take.
    """

    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self._deadline = time.monotonic() + timeout_s

    def add(self, chunk: bytes) -> bool:
        """Takes a part; returns whether that is enough.

        Raises:
            TransportError: The time is up.
        """
        self += chunk
        if len(self) > _MAX_ANSWER_BYTES:
            return True
        if time.monotonic() > self._deadline:
            raise TransportError("the server is too slow in sending its answer")
        return False


def trusted(ca_file: str | None) -> ssl.SSLContext | bool:
    """Returns what httpx takes for the certificates to trust."""
    if ca_file is None:
        return True
    import ssl  # noqa: PLC0415 - as httpx, by who sends only

    return ssl.create_default_context(cafile=ca_file)
