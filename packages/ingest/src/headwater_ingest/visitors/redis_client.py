"""The way to Redis: its client, which is an extra, with a bound on every wait.

The only module that knows how the client is made. `redis` is imported when a Redis is
named, since most nodes have none.
"""

import importlib.util
from typing import TYPE_CHECKING, Any, Final

from headwater_ingest.errors import (
    RedisNotInstalledError,
    RedisUnreachableError,
    RedisUrlError,
)

if TYPE_CHECKING:
    from redis.asyncio import Redis

ANSWER_S: Final = 0.5
"""Longest wait for Redis. An event may have to wait for the batch before its own, too:
a second at most, which is what Plausible gives to a busy session."""

_PING_S: Final = 3.0

# The older protocol: understood by every version, and the newer one has no use here.
_OPTIONS: Final[dict[str, Any]] = {"protocol": 2}


def make_client(url: str) -> "Redis":
    """Return a client that has not connected yet.

    It tries again once, at once: a connection that was lost while nobody used it shows
    only then. The bound on the wait is whoever's who waits.

    Args:
        url: `redis://`, `rediss://` for TLS, or `unix://` and the path of a socket.

    Raises:
        RedisNotInstalledError: The extra is not installed.
        RedisUrlError: It is no such URL.
    """
    _check_installed()
    from redis.asyncio import Redis  # noqa: PLC0415
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415

    try:
        return Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 1),
            socket_timeout=None,
            socket_connect_timeout=None,
            **_OPTIONS,
        )
    except ValueError:
        raise _wrong_url() from None


def ping(url: str) -> None:
    """Return when Redis has answered. Blocks.

    Raises:
        RedisNotInstalledError: The extra is not installed.
        RedisUrlError: It is no such URL.
        RedisUnreachableError: Nobody answers, or not to us.
    """
    _check_installed()
    from redis import Redis  # noqa: PLC0415
    from redis.exceptions import RedisError  # noqa: PLC0415

    try:
        with Redis.from_url(url, socket_timeout=_PING_S, **_OPTIONS) as client:
            client.ping()
    except ValueError:
        raise _wrong_url() from None
    except (RedisError, OSError) as error:
        raise RedisUnreachableError(
            f"Redis does not answer ({error}): start it, or correct HEADWATER_REDIS_URL"
        ) from error


def _check_installed() -> None:
    if importlib.util.find_spec("redis") is None:
        raise RedisNotInstalledError(
            "the client for Redis is not installed: run `pip install "
            "'headwater-ingest[redis]'`, or unset HEADWATER_REDIS_URL"
        )


def _wrong_url() -> RedisUrlError:
    return RedisUrlError(
        "HEADWATER_REDIS_URL is no URL of a Redis: give redis://:password@host:6379/0, "
        "with %40 and its like for what is special in the password"
    )
