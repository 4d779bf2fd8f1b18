"""Progress of an import on a terminal, or in a log."""

import time
from collections.abc import Callable
from typing import Final, TextIO

_TERMINAL_EVERY_S: Final = 0.2
_LOG_EVERY_S: Final = 10.0
_WIDTH: Final = 24


class Progress:
    """Tells how far it is: by a bar that moves, or by a line now and then.

    Args:
        stream: Where to.
        total: Bytes of the whole, or None if nobody knows.
        done: Bytes that had been done before.
        clock: Returns seconds.
    """

    def __init__(
        self,
        stream: TextIO,
        total: int | None,
        done: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._total = total
        self._first = done
        self._clock = clock
        self._began = clock()
        self._is_terminal = stream.isatty()
        self._every_s = _TERMINAL_EVERY_S if self._is_terminal else _LOG_EVERY_S
        self._told = self._began

    def tell(self, done: int, events: int, note: str = "") -> None:
        """Tells, if it is time to.

        Args:
            done: Bytes done, those before included.
            events: Events sent.
            note: What else there is to say.
        """
        if self._clock() - self._told >= self._every_s:
            self._write(done, events, note, end="" if self._is_terminal else "\n")

    def finish(self, done: int, events: int) -> None:
        """Tells for the last time."""
        self._write(done, events, "", end="\n")

    def _write(self, done: int, events: int, note: str, end: str) -> None:
        self._told = self._clock()
        text = self._render(done, events, note)
        self._stream.write(f"\r{text}\x1b[K{end}" if self._is_terminal else text + end)
        self._stream.flush()

    def _render(self, done: int, events: int, note: str) -> str:
        seconds = max(self._clock() - self._began, 1e-3)
        speed = (done - self._first) / seconds
        parts = [f"{events:,} events", f"{speed / 1e6:.1f} MB/s"]
        if self._total is not None:
            share = done / self._total if self._total else 1.0
            bar = ("#" * round(share * _WIDTH)).ljust(_WIDTH, ".")
            parts.insert(0, f"[{bar}] {share:4.0%}")
            if speed > 0 and done < self._total:
                parts.append(f"{_shown_s((self._total - done) / speed)} left")
        return ", ".join(filter(None, [*parts, note]))


def _shown_s(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
