"""The default client of the process, and its methods as functions.

::

    import headwater

    headwater.init("hw_key", "https://events.example.com")
    headwater.capture("user-1", "order_completed", {"amount": 49.99})
"""

from __future__ import annotations

import threading
from typing import Any, Unpack

from headwater._client import Client
from headwater._environment import read_environment
from headwater._errors import SettingsError
from headwater._reporter import logger
from headwater._settings import Options
from headwater._transport import Transport

_lock = threading.Lock()
_client: Client | None = None


def init(
    write_key: str | None = None,
    host: str | None = None,
    *,
    transport: Transport | None = None,
    **options: Unpack[Options],
) -> Client:
    """Makes the default client, which `headwater.capture` and its like use.

    What is not given is read from the environment: `HEADWATER_WRITE_KEY`,
    `HEADWATER_HOST`, `HEADWATER_DISABLED`, `HEADWATER_STRICT`, `HEADWATER_FLUSH_AT`,
    `HEADWATER_FLUSH_INTERVAL`, `HEADWATER_TIMEOUT`, `HEADWATER_EXIT_TIMEOUT`,
    `HEADWATER_SPOOL`. A default client that there was before delivers what it has.

    Args:
        write_key: The write key of the site.
        host: URL of the Headwater service.
        transport: Carries requests instead of HTTP.
        options: Those of `Client`.

    Returns:
        The default client.

    Raises:
        SettingsError: Options or variables are wrong; the message names all of them.
    """
    given: dict[str, Any] = {**read_environment(), **options}
    if write_key is not None:
        given["write_key"] = write_key
    if host is not None:
        given["host"] = host
    client = Client(transport=transport, **given)
    replace_default(client)
    return client


def default_client() -> Client:
    """Returns the default client.

    Without `init` it is made from the environment. Where that names no write key,
    events are dropped, and the log says so once.
    """
    return _client or _make_from_environment()


def _make_from_environment() -> Client:
    try:
        if read_environment().get("write_key"):
            return init()
        why = "call headwater.init(), or set HEADWATER_WRITE_KEY and HEADWATER_HOST"
    except SettingsError as error:
        why = str(error)
    logger.warning("nothing is captured: %s", why)
    return init("", "", disabled=True)


def replace_default(client: Client | None) -> Client | None:
    """Makes `client` the default one, as a test does; returns the one before."""
    global _client
    with _lock:
        former, _client = _client, client
    return former
