"""What a running writer is told: to stop, or to drain first.

Set from any thread; the loop looks at it between blocks and waits on it.
"""

import threading
import time


class Control:
    """Orders for one writer loop. They only ever become more urgent."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_stopped = False
        self._deadline: float | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether the loop must end now, because of `stop` or a deadline."""
        return self._is_stopped or self._is_overdue()

    @property
    def is_draining(self) -> bool:
        """Whether the loop must end as soon as nothing is left."""
        return self._deadline is not None

    def stop(self) -> None:
        """Tell the loop to end after the block that it is sending."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def drain(self, timeout_s: float) -> None:
        """Tell the loop to write everything and end, at the latest after that time."""
        with self._changed:
            self._deadline = time.monotonic() + timeout_s
            self._changed.notify_all()

    def wait(self, seconds: float, *, is_draining: bool) -> None:
        """Wait that long, or until the next order, or until the deadline.

        Args:
            seconds: How long.
            is_draining: What the caller takes for true; it does not wait if an order
                has come since.
        """
        with self._changed:
            if not self.is_stopped and self.is_draining == is_draining:
                self._changed.wait(min(seconds, self._time_left()))

    def _time_left(self) -> float:
        return (
            float("inf")
            if self._deadline is None
            else self._deadline - time.monotonic()
        )

    def _is_overdue(self) -> bool:
        return self._time_left() <= 0
