"""Who does what is captured, for as long as a block of code runs.

It is held in a `ContextVar`: each thread and each task has its own, and a task begins
with that of the code that made it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from msgspec import Struct

from headwater._encoder import PersonId


class Context(Struct, frozen=True):
    """What events get from the block of code that they are captured in.

    Attributes:
        distinct_id: Who does it, unless the event says so itself.
        groups: Groups of the event, which may add others.
        properties: Properties of the event, which its own win over.
    """

    distinct_id: PersonId | None = None
    groups: Mapping[str, PersonId] = {}
    properties: Mapping[str, object] = {}

    def within(self, outer: Context) -> Context:
        """Returns what holds in a block inside another."""
        return Context(
            outer.distinct_id if self.distinct_id is None else self.distinct_id,
            {**outer.groups, **self.groups},
            {**outer.properties, **self.properties},
        )


NO_CONTEXT: Final = Context()


class ContextStack:
    """The contexts of one client."""

    def __init__(self, super_properties: Mapping[str, object]) -> None:
        properties = dict(super_properties)
        outermost = Context(properties=properties) if properties else NO_CONTEXT
        self._var: ContextVar[Context] = ContextVar(
            "headwater_context", default=outermost
        )
        self.get = self._var.get

    @contextmanager
    def enter(self, context: Context) -> Iterator[None]:
        """Has `context` hold until the block ends."""
        token = self._var.set(context.within(self._var.get()))
        try:
            yield
        finally:
            self._var.reset(token)
