"""How the application learns of faults: one log line per kind, and `on_error`."""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, NotRequired, TypedDict

import msgspec

from headwater._errors import ReportedError, UnavailableError

logger: Final = logging.getLogger("headwater")


class CapturedEvent(TypedDict):
    """An event in its wire form, as `on_error` gets it."""

    event_id: str
    event: str
    distinct_id: str
    timestamp: int
    properties: NotRequired[dict[str, Any]]
    groups: NotRequired[dict[str, str]]


OnError = Callable[[ReportedError, list[CapturedEvent]], object]

_decode: Final = msgspec.json.Decoder(CapturedEvent).decode


def read_name(event: bytes) -> str:
    """Returns the name of an encoded event."""
    return _decode(event)["event"]


class Reporter:
    """Reports faults; may be called by any thread, with no lock held.

    Args:
        on_error: What the application wants to be called with each fault. What it
            raises is logged and goes no further. Faults that it brings about itself
            are counted and logged, but not given to it.
    """

    def __init__(self, on_error: OnError | None) -> None:
        self._on_error = on_error
        self._logged: set[str] = set()
        self._local = threading.local()

    def report(self, error: ReportedError, events: Sequence[bytes]) -> None:
        """Logs the first fault of its kind and calls `on_error` with each."""
        self._log_once(error.kind, "%s", error)
        if self._on_error is None or getattr(self._local, "is_reporting", False):
            return
        self._local.is_reporting = True
        try:
            self._on_error(error, [_decode(event) for event in events])
        except (Exception, SystemExit):  # noqa: BLE001 - the application's own code
            self._log_once("on_error", "on_error has raised", exc_info=True)
        finally:
            self._local.is_reporting = False

    def announce_recovery(self) -> None:
        """Tells that the server answers, and has the next outage logged anew."""
        self._logged.discard(UnavailableError.__name__)
        logger.info("the server answers again")

    def _log_once(self, kind: str, message: str, *args: object, **options: Any) -> None:
        if kind in self._logged:
            return
        self._logged.add(kind)
        logger.warning(message, *args, **options)
