"""The way across the network for `AsyncClient`: HTTP, by httpx."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from headwater._errors import TransportError
from headwater._http import KEEP_ALIVE_S, AnswerBody, trusted
from headwater._transport import Request, Response

if TYPE_CHECKING:
    import httpx


class AsyncHttpTransport:
    """Posts over HTTP on an event loop; otherwise as `HttpTransport`.

    httpx is imported when the transport is made, since on an event loop every moment
    is somebody's request.

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
        import httpx  # noqa: PLC0415 - who makes no such client shall not pay for it

        self._httpx = httpx
        self._url = url
        self._timeout_s = timeout
        self._proxy = proxy
        self._verify = trusted(ca_file)
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(self, request: Request) -> Response:
        """Posts the request and reads the answer to its end."""
        httpx = self._httpx
        try:
            async with self._connected().stream(
                "POST", self._url, headers=dict(request.headers), content=request.body
            ) as answer:
                body = AnswerBody(self._timeout_s)
                async for chunk in answer.aiter_bytes():
                    if body.add(chunk):
                        break
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise TransportError(f"{type(error).__name__}: {error}") from error
        return Response(answer.status_code, dict(answer.headers), bytes(body))

    async def close(self) -> None:
        """Closes the connection, if there is one of this event loop."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.aclose()

    def _connected(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client = self._httpx.AsyncClient(
                timeout=self._timeout_s,
                limits=self._httpx.Limits(keepalive_expiry=KEEP_ALIVE_S),
                proxy=self._proxy,
                verify=self._verify,
            )
            self._loop = loop
        return self._client
