"""What can be wrong with the options of a client: one sentence for each."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, get_args

from headwater._compression import Compression, has_zstd
from headwater._overflow import Block
from headwater_schema.limits import MAX_BATCH_BYTES, MAX_BATCH_EVENTS, MAX_EVENT_BYTES

if TYPE_CHECKING:
    from headwater._settings import Settings

_HEADER_TEXT: Final = re.compile(r"[!-~]+")
_ROUTE: Final = re.compile("/(ingest-events|user-properties|api/event)/*$")
"""What somebody has put after the host who knows the service by `curl`."""
_MIN_BATCH_BYTES: Final = 1024
_UNBOUNDED: Final = 2**63 - 1

_COUNTS: Final[Mapping[str, tuple[int, int]]] = {
    "flush_at": (1, _UNBOUNDED),
    "max_batch_events": (1, MAX_BATCH_EVENTS),
    "max_batch_bytes": (_MIN_BATCH_BYTES, MAX_BATCH_BYTES),
    "max_queue_size": (1, _UNBOUNDED),
    "max_queue_bytes": (MAX_EVENT_BYTES, _UNBOUNDED),
    "max_retries": (0, _UNBOUNDED),
    "spool_max_bytes": (MAX_EVENT_BYTES, _UNBOUNDED),
}
_SECONDS: Final = ("flush_interval", "timeout", "exit_timeout")
_SWITCHES: Final = ("historical", "disabled", "strict")
_HOOKS: Final = ("before_send", "on_error")


def of(settings: Settings) -> list[str]:
    """Returns all that is wrong."""
    return [*_identity(settings), *_numbers(settings), *_others(settings)]


def _identity(settings: Settings) -> Iterator[str]:
    if settings.disabled is True:
        # Where nothing is sent, as in tests, there may be no key and no host.
        return
    key: object = settings.write_key
    if not (isinstance(key, str) and _HEADER_TEXT.fullmatch(key)):
        # The key itself is a secret: not even a wrong one is shown.
        yield (
            "write_key must be text of visible ASCII characters, without spaces"
            if key
            else "write_key must be given, or set as HEADWATER_WRITE_KEY for "
            "headwater.init() and the command line"
        )
    if not _is_host(settings.host):
        yield (
            'host must be a URL such as "https://events.example.com", not '
            f"{settings.host!r}"
        )
    elif route := _ROUTE.search(settings.host):
        yield (
            f"host must be the base URL only, {settings.host[: route.start()]!r}, not "
            f"{settings.host!r}"
        )


def _is_host(host: object) -> bool:
    from urllib.parse import urlsplit  # noqa: PLC0415 - with the first client

    try:
        parts = urlsplit(host) if isinstance(host, str) else None
        return bool(
            parts
            and parts.scheme in {"http", "https"}
            and parts.hostname
            and parts.port != 0
            # Messages show the host, so it must hold no secret.
            and parts.username is None
            and not (parts.query or parts.fragment or " " in parts.netloc)
        )
    except ValueError:
        return False


def _numbers(settings: Settings) -> Iterator[str]:
    for name, (low, high) in _COUNTS.items():
        value = getattr(settings, name)
        if type(value) is not int or not low <= value <= high:
            most = f"at least {low}" if high == _UNBOUNDED else f"from {low} to {high}"
            yield f"{name} must be a whole number {most}, not {value!r}"
    for name in _SECONDS:
        value = getattr(settings, name)
        if not _is_seconds(value):
            yield f"{name} must be a number of seconds above 0, not {value!r}"


def _is_seconds(value: object) -> bool:
    return type(value) in {int, float} and 0 < value < math.inf  # type: ignore[operator] # a number


def _others(settings: Settings) -> Iterator[str]:
    yield from _overflow(settings.overflow)
    yield from _compression(settings.compression)
    for name in _SWITCHES:
        value = getattr(settings, name)
        if type(value) is not bool:
            yield f"{name} must be True or False, not {value!r}"
    for name in _HOOKS:
        value = getattr(settings, name)
        if value is not None and not callable(value):
            yield f"{name} must be a function, not {value!r}"
    for name in ("proxy", "ca_file"):
        value = getattr(settings, name)
        if value is not None and not isinstance(value, str):
            # A proxy may have a password in it.
            yield f"{name} must be text, not {type(value).__name__}"
    properties: object = settings.super_properties
    if not isinstance(properties, Mapping):
        yield "super_properties must be a mapping"
    spool: object = settings.spool
    if not (spool is None or isinstance(spool, str | os.PathLike) or _is_spool(spool)):
        yield f"spool must be a path, not {spool!r}"


def _overflow(overflow: object) -> Iterator[str]:
    if isinstance(overflow, Block):
        if not _is_seconds(overflow.timeout):
            yield (
                "overflow must be a Block of a number of seconds above 0, not "
                f"{overflow.timeout!r}"
            )
    elif overflow not in ("drop_oldest", "drop_newest"):
        yield (
            'overflow must be "drop_oldest", "drop_newest" or a Block(timeout), not '
            f"{overflow!r}"
        )


def _compression(compression: object) -> Iterator[str]:
    known = get_args(Compression)
    if compression not in known:
        yield f"compression must be one of {', '.join(known)}, not {compression!r}"
    elif compression == "zstd" and not has_zstd():
        yield 'compression must be "gzip", or install zstandard to use "zstd"'


def _is_spool(spool: object) -> bool:
    return all(hasattr(spool, name) for name in ("keep", "take", "done", "close"))
