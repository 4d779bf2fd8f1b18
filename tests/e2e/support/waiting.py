"""Waiting for something to become true, with a deadline instead of a sleep."""

import time
from collections.abc import Callable
from typing import TypeVar

_LOOK_AGAIN_S = 0.03

T = TypeVar("T")


def wait_for(look: Callable[[], T | None], *, what: str, timeout_s: float = 20.0) -> T:
    """Returns the first true value that `look` gives.

    Args:
        look: Asked again and again.
        what: What is waited for, for the message of the failure.
        timeout_s: Longest wait.

    Raises:
        AssertionError: The time is up; the message holds the last value.
    """
    deadline = time.monotonic() + timeout_s
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:g} s for {what}; last: {seen!r}")
        time.sleep(_LOOK_AGAIN_S)
    return seen
