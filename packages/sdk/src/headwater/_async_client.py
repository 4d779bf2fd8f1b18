"""The client for asyncio."""

from __future__ import annotations

from types import TracebackType
from typing import Self, Unpack

from headwater._async_sender import AsyncSender
from headwater._capturing import Capturing
from headwater._client import SHUTDOWN_TIMEOUT_S
from headwater._errors import SettingsError
from headwater._overflow import Block
from headwater._reporter import Reporter
from headwater._results import FlushResult
from headwater._settings import Options, Settings
from headwater._spooler import open_spool
from headwater._transport import AsyncTransport

_WEEK_S = 7 * 24 * 3600.0


class AsyncClient(Capturing):
    """`Client` for asyncio: the same names, options and guarantees, without a thread.

    `capture` and its like are plain functions that wait for nothing, and may be called
    from any thread. `flush` and `shutdown` are awaited. Sending is done by a task on
    the event loop that an event is captured on; it ends with its loop. What is queued
    when the last loop has ended is delivered at the exit of the process.

    ::

        async with AsyncClient("hw_key", "https://events.example.com") as client:
            client.capture("user-1", "order_completed", {"amount": 49.99})

    Args:
        write_key: The write key of the site.
        host: URL of the Headwater service.
        transport: Carries requests instead of HTTP, for instance in tests. The client
            closes it.
        options: Those of `Client`, but `overflow` cannot be `Block`, which would hold
            the event loop: await `flush` to wait for room.

    Raises:
        SettingsError: Options are wrong; the message names all of them.
    """

    _driver: AsyncSender

    def __init__(
        self,
        write_key: str = "",
        host: str = "",
        *,
        transport: AsyncTransport | None = None,
        **options: Unpack[Options],
    ) -> None:
        settings = Settings(write_key=write_key, host=host, **options)
        if isinstance(settings.overflow, Block):
            raise SettingsError(
                ["overflow must not block an event loop; await flush() for room"]
            )
        sender = AsyncSender(
            settings,
            transport,
            Reporter(settings.on_error),
            spool=open_spool(settings),
        )
        super().__init__(settings, sender)

    async def flush(self, timeout: float | None = None) -> FlushResult:  # noqa: ASYNC109 - as `Client.flush`
        """Sends everything queued before this call, and waits for it.

        Args:
            timeout: Seconds to keep trying. None stops when all is settled, or when
                a delivery has failed after its retries.

        Returns:
            What became of those events.
        """
        if isinstance(timeout, int | float):
            return await self._driver.flush_here(timeout, gives_up=False)
        return await self._driver.flush_here(_WEEK_S, gives_up=True)

    async def shutdown(self, timeout: float | None = None) -> FlushResult:  # noqa: ASYNC109 - as `Client.shutdown`
        """Delivers everything queued, then stops; later captures are refused.

        What is not delivered by then goes to the spool. Without one it is lost, and
        reported. May be called twice.

        Args:
            timeout: Seconds to keep trying. None stops when all is settled, when a
                delivery has failed after its retries, or after 10 seconds.

        Returns:
            What became of the events.
        """
        if isinstance(timeout, int | float):
            return await self._driver.shutdown_here(timeout, gives_up=False)
        return await self._driver.shutdown_here(SHUTDOWN_TIMEOUT_S, gives_up=True)

    async def __aenter__(self) -> Self:
        self._driver.begin_here()
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Shut down, whether or not there was an error."""
        await self.shutdown()
