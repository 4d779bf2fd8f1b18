"""The options of a client, checked all at once before anything is started."""

import math
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from headwater._errors import SettingsError
from headwater_schema.limits import MAX_BATCH_BYTES, MAX_BATCH_EVENTS, MAX_EVENT_BYTES

_HEADER_TEXT: Final = re.compile(r"[!-~]+")
_MIN_BATCH_BYTES: Final = 1024
_UNBOUNDED: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of a client; `Client` describes each.

    Raises:
        SettingsError: Options are wrong; the message names all of them.
    """

    write_key: str
    host: str
    flush_at: int
    flush_interval: float
    max_batch_events: int
    max_batch_bytes: int
    max_queue_size: int
    max_queue_bytes: int
    gzip: bool
    timeout: float
    max_retries: int
    exit_timeout: float

    def __post_init__(self) -> None:
        """Check every option before complaining about any."""
        faults = [
            *_faults_of_key(self.write_key),
            *_faults_of_host(self.host),
            *_faults_of_count("flush_at", self.flush_at, 1, _UNBOUNDED),
            *_faults_of_seconds("flush_interval", self.flush_interval),
            *_faults_of_count(
                "max_batch_events", self.max_batch_events, 1, MAX_BATCH_EVENTS
            ),
            *_faults_of_count(
                "max_batch_bytes",
                self.max_batch_bytes,
                _MIN_BATCH_BYTES,
                MAX_BATCH_BYTES,
            ),
            *_faults_of_count("max_queue_size", self.max_queue_size, 1, _UNBOUNDED),
            *_faults_of_count(
                "max_queue_bytes", self.max_queue_bytes, MAX_EVENT_BYTES, _UNBOUNDED
            ),
            *_faults_of_seconds("timeout", self.timeout),
            *_faults_of_count("max_retries", self.max_retries, 0, _UNBOUNDED),
            *_faults_of_seconds("exit_timeout", self.exit_timeout),
        ]
        if faults:
            raise SettingsError(faults)

    @property
    def batch_trigger(self) -> int:
        """How many waiting events make a batch due without waiting any longer."""
        return min(self.flush_at, self.max_batch_events, self.max_queue_size)

    @property
    def url(self) -> str:
        """Where batches are posted to."""
        return self.host.rstrip("/") + "/ingest-events"


def _faults_of_key(key: object) -> list[str]:
    if isinstance(key, str) and _HEADER_TEXT.fullmatch(key):
        return []
    # The key itself is a secret: not even a wrong one is shown.
    return ["write_key must be text of visible ASCII characters, without spaces"]


def _faults_of_host(host: object) -> list[str]:
    try:
        parts = urlsplit(host) if isinstance(host, str) else None
        if (
            parts
            and parts.scheme in {"http", "https"}
            and parts.hostname
            and parts.port != 0
            # Messages show the host, so it must hold no secret.
            and parts.username is None
            and not (parts.query or parts.fragment or " " in parts.netloc)
        ):
            return []
    except ValueError:
        pass
    return [f'host must be a URL such as "https://events.example.com", not {host!r}']


def _faults_of_count(name: str, value: object, low: int, high: int) -> list[str]:
    if type(value) is int and low <= value <= high:
        return []
    most = f"at least {low}" if high == _UNBOUNDED else f"from {low} to {high}"
    return [f"{name} must be a whole number {most}, not {value!r}"]


def _faults_of_seconds(name: str, value: object) -> list[str]:
    if type(value) in {int, float} and 0 < value < math.inf:  # type: ignore[operator] # a number
        return []
    return [f"{name} must be a number of seconds above 0, not {value!r}"]
