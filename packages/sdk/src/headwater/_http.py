"""The way across the network: HTTP, by httpx."""

import codecs
import os
import time
from typing import TYPE_CHECKING, Final

from headwater._errors import TransportError
from headwater._lifecycle import fork_guard
from headwater._transport import Request, Response

if TYPE_CHECKING:
    import httpx

_MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
_KEEP_ALIVE_S: Final = 60.0


class HttpTransport:
    """Posts over HTTP with keep-alive; proxies and certificates as httpx has them.

    httpx is imported by the first request, which the sending thread makes: that
    keeps the import of this library light.

    Args:
        url: Where requests go.
        timeout: Seconds to wait for each step: connecting, sending, the answer.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url
        self._timeout_s = timeout
        self._client: httpx.Client | None = None
        self._pid = 0

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
                body = self._read(answer)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise TransportError(f"{type(error).__name__}: {error}") from error
        return Response(answer.status_code, dict(answer.headers), body)

    def close(self) -> None:
        """Closes the connection, if there is one of this process."""
        if self._client is not None and self._pid == os.getpid():
            self._client.close()
        self._client = None

    def _connected(self) -> "httpx.Client":
        if self._client is None or self._pid != os.getpid():
            # After a fork the connection is the parent's; its locks may be held by
            # a thread that does not exist here, so it is dropped, not closed.
            self._client = self._connect()
            self._pid = os.getpid()
        return self._client

    def _connect(self) -> "httpx.Client":
        # httpx imports more when it makes a client, and OpenSSL loads certificates
        # with a lock held: neither survives a fork half done.
        with fork_guard:
            import httpx  # noqa: PLC0415

            return httpx.Client(
                timeout=self._timeout_s,
                limits=httpx.Limits(keepalive_expiry=_KEEP_ALIVE_S),
            )

    def _read(self, answer: "httpx.Response") -> bytes:
        """Reads what an answer of ours can have, and not for longer than allowed."""
        deadline = time.monotonic() + self._timeout_s
        body = bytearray()
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > _MAX_ANSWER_BYTES:
                break
            if time.monotonic() > deadline:
                raise TransportError("the server is too slow in sending its answer")
        return bytes(body)
