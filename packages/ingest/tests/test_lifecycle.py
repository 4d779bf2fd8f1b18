import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any

import pytest

from headwater_ingest.lifecycle import Lifecycle

FOREVER = 3600


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a test on a loop; a wait that never ends is a failure."""

    async def bounded() -> None:
        async with asyncio.timeout(10):
            await work

    asyncio.run(bounded())


def test_a_stop_turns_readiness_off_before_anything_is_refused() -> None:
    async def check() -> None:
        lifecycle = Lifecycle()
        lifecycle.request_stop()
        await lifecycle.wait_for_stop()

        assert lifecycle.draining
        assert not lifecycle.refusing
        assert not lifecycle.in_a_hurry

    run(check())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_for_the_stop(number: signal.Signals) -> None:
    async def check() -> None:
        lifecycle = Lifecycle()
        with lifecycle.on_signals():
            os.kill(os.getpid(), number)
            await lifecycle.wait_for_stop()

        assert lifecycle.draining

    run(check())


def test_a_second_signal_cuts_every_wait_short() -> None:
    async def check() -> None:
        lifecycle = Lifecycle()
        lifecycle.request_stop()
        waiting = asyncio.create_task(lifecycle.pause(FOREVER))
        await asyncio.sleep(0)
        assert not waiting.done()

        lifecycle.request_stop()
        await waiting

        assert lifecycle.in_a_hurry
        await lifecycle.pause(FOREVER)

    run(check())


def test_work_that_ends_in_time_is_done() -> None:
    async def check() -> None:
        assert await Lifecycle().bounded(asyncio.sleep(0), FOREVER)

    run(check())


def test_work_that_is_late_is_cancelled() -> None:
    async def check() -> None:
        cancelled = asyncio.Event()

        async def endless() -> None:
            try:
                await asyncio.sleep(FOREVER)
            finally:
                cancelled.set()

        assert not await Lifecycle().bounded(endless(), 0.01)
        assert cancelled.is_set()

    run(check())


def test_work_that_fails_fails_its_caller() -> None:
    async def check() -> None:
        async def broken() -> None:
            raise LookupError("gone")

        with pytest.raises(LookupError, match="gone"):
            await Lifecycle().bounded(broken(), FOREVER)

    run(check())
