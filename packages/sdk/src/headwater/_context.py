"""Who does what is captured, for as long as a block of code runs.

It is held in a `ContextVar`: each thread and each task has its own, and a task begins
with that of the code that made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from contextvars import ContextVar, Token
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

    def enter(self, context: Context) -> AbstractContextManager[None]:
        """Has `context` hold until the block ends."""
        return _Block(self._var, context)


class _Block(AbstractContextManager[None]):
    """A block of code; one that is never left ends in silence with its task."""

    def __init__(self, var: ContextVar[Context], context: Context) -> None:
        self._var = var
        self._context = context
        self._tokens: list[Token[Context]] = []

    def __enter__(self) -> None:
        context = self._context.within(self._var.get())
        self._tokens.append(self._var.set(context))

    def __exit__(self, *_: object) -> None:
        # An asynchronous generator that is garbage is closed by another task, where
        # nothing was set: there is nothing to set back.
        with suppress(ValueError):
            self._var.reset(self._tokens.pop())
