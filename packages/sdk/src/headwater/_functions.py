"""The methods of the default client as functions of this library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, overload
from uuid import UUID

from headwater._client import Client
from headwater._default import default_client
from headwater._encoder import PersonId
from headwater._typed_port import TypedEvent

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _of_default(method: Callable[Concatenate[Client, _P], _R]) -> Callable[_P, _R]:
    @wraps(method)
    def function(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        return method(default_client(), *args, **kwargs)

    return function


@overload
def capture(
    distinct_id: PersonId | None,
    event: str | TypedEvent,
    properties: Mapping[str, object] | None = None,
    *,
    groups: Mapping[str, PersonId] | None = None,
    timestamp: datetime | None = None,
    event_id: str | UUID | None = None,
) -> str | None: ...
@overload
def capture(
    event: str | TypedEvent,
    properties: Mapping[str, object] | None = None,
    /,
    *,
    groups: Mapping[str, PersonId] | None = None,
    timestamp: datetime | None = None,
    event_id: str | UUID | None = None,
) -> str | None: ...
@wraps(Client.capture)
def capture(*args: Any, **kwargs: Any) -> str | None:
    """As `Client.capture`, of the default client."""
    return default_client().capture(*args, **kwargs)


def context(
    properties: Mapping[str, object] | None = None,
    /,
    *,
    distinct_id: PersonId | None = None,
    groups: Mapping[str, PersonId] | None = None,
    **named: object,
) -> AbstractContextManager[None]:
    """As `Client.context`, of the default client."""
    return default_client().context(
        properties, distinct_id=distinct_id, groups=groups, **named
    )


capture_exception = _of_default(Client.capture_exception)
identify = _of_default(Client.identify)
group_identify = _of_default(Client.group_identify)
alias = _of_default(Client.alias)
set = _of_default(Client.set)  # noqa: A001 - the method's name
set_once = _of_default(Client.set_once)
unset = _of_default(Client.unset)
add = _of_default(Client.add)
append = _of_default(Client.append)
flush = _of_default(Client.flush)
shutdown = _of_default(Client.shutdown)
stats = _of_default(Client.stats)
