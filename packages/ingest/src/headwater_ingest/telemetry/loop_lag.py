"""How late the event loop is: what every request waits for besides its own work."""

import asyncio
from collections.abc import Callable

_TICK_S = 0.05


async def watch_loop_lag(observe: Callable[[float], object]) -> None:
    """Tell, again and again and for ever, how many seconds late a short sleep ended."""
    now = asyncio.get_running_loop().time
    while True:
        due = now() + _TICK_S
        await asyncio.sleep(_TICK_S)
        observe(max(0.0, now() - due))
