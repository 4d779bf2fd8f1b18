"""Waits until a ClickHouse has nothing left to merge."""

import time
from collections.abc import Callable
from typing import Final

from headwater_ingest.clickhouse.client import Client

QUIET_S: Final = 2.0
LONGEST_S: Final = 120.0
_LOOK_S: Final = 0.2


def count_merges(client: Client) -> int:
    """Returns how many merges a ClickHouse is at."""
    [(count,)] = client.execute("SELECT count() FROM system.merges")
    return int(count)


def wait_for_merges(count: Callable[[], int]) -> None:
    """Returns when at no look of two seconds, five a second, there was a merge.

    Args:
        count: Returns how many there are.

    Raises:
        RuntimeError: They do not end.
    """
    started = quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < QUIET_S:
        if time.monotonic() - started > LONGEST_S:
            raise RuntimeError("the merges do not end")
        if count():
            quiet_since = time.monotonic()
        time.sleep(_LOOK_S)
