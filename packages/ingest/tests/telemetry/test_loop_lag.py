"""What is told of a loop that was kept from its work."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from headwater_ingest.telemetry.loop_lag import watch_loop_lag

_KEPT_S = 0.3


def _keep_from_work() -> None:
    """Does what no code of a loop may do."""
    time.sleep(_KEPT_S)


def test_a_loop_that_is_kept_is_late_by_as_much() -> None:
    async def run() -> float:
        told: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        watch = asyncio.create_task(watch_loop_lag(told.set_result))
        await asyncio.sleep(0)  # so that it has begun to wait
        _keep_from_work()
        late = await asyncio.wait_for(told, timeout=5)
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch
        return late

    assert _KEPT_S / 2 < asyncio.run(run()) < 5
